"""The OpenAPI descriptions hold: schemathesis as a member, with ids that exist.

Valid and invalid requests are derived from what is described; every answer must be described too.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from tests.faults.running import CHAT, Running, call, until
from tests.pictures import png

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

EXAMPLES = {"gateway": 15, "metadata": 5}
"""Requests of each kind for one operation; all of the metadata service the gateway has as well."""

load_all_checks()


@schemathesis.serializer("application/offset+octet-stream")
def octets(_: object, value: object) -> bytes:
    """Return a body of tus, whatever was generated for it."""
    return value if isinstance(value, bytes) else str(value).encode()


NAMES = [
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
CHECKED: Any = CHECKS.get_by_names(["not_a_server_error", *NAMES])
DESCRIBED: Any = CHECKS.get_by_names(NAMES)

AnyCase: TypeAlias = "Case[Any]"
Operation: TypeAlias = "APIOperation[Any, Any, Any, Any]"


numbers = itertools.count()
"""A name is given out once."""


class Member:
    """Bruno, and what he knows."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.token = running.token("bruno")
        body = {"chat_id": CHAT, "content": "x"}
        status, accepted = call("POST", f"{running.gateway}/v1/messages", body, self.token)
        assert status == 202
        self.message_id = str(accepted["message_id"])
        _, accepted = call("POST", f"{running.gateway}/v1/messages", body, self.token)
        self.to_delete = str(accepted["message_id"])
        until(lambda: len(running.history(self.token)) > 1)
        user = {"username": "carla", "email": "carla@example.com", "password": "long enough"}
        call("POST", f"{running.gateway}/v1/users", user)
        self.group = self._new_group()
        self.file = self._uploaded(png(8, 8))
        self._left = Counter[str]()
        self._leaving = ""

    def token_for(self, case: AnyCase) -> str:
        """Return a token; signing out uses up one of its own."""
        match case.operation.label:
            case "POST /v1/logout":
                return self._running.token("bruno")
            case "DELETE /v1/users/{username}" if self._leaving:
                form = {"username": self._leaving, "password": "long enough"}
                self._leaving = ""
                _, granted = call("POST", f"{self._running.gateway}/token", form=form)
                return str(granted["access_token"])
        return self.token

    def _new_group(self, *members: str) -> str:
        group = {"type": "group", "members": list(members)}
        status, made = call("POST", f"{self._running.gateway}/v1/conversations", group, self.token)
        assert status == 201
        return str(made["conversation_id"])

    def _is_enough(self, operation: str) -> bool:
        """Say whether something that takes long to prepare was done a few times."""
        self._left[operation] += 1
        return self._left[operation] > 3

    def _leaves(self) -> str:
        self._leaving = f"leaving{next(numbers)}"
        user = {
            "username": self._leaving,
            "email": f"{self._leaving}@example.com",
            "password": "long enough",
        }
        assert call("POST", f"{self._running.gateway}/v1/users", user)[0] == 201
        return self._leaving

    def _uploaded(self, data: bytes, size: int | None = None) -> str:
        """Begin an upload with these bytes; return the file's id."""
        answer = requests.post(
            f"{self._running.gateway}/v1/files",
            data=data,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Tus-Resumable": "1.0.0",
                "Upload-Length": str(len(data) if size is None else size),
                "Content-Type": "application/offset+octet-stream",
            },
            timeout=10,
        )
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"].rpartition("/")[2]

    def _another_session(self) -> str:
        self._running.token("bruno")
        _, found = call("GET", f"{self._running.gateway}/v1/sessions", token=self.token)
        return next(str(one["session_id"]) for one in found if not one["current"])

    def knows(self, case: AnyCase) -> None:
        """Put what exists into a valid request."""
        known = {"conversation_id": CHAT, "message_id": self.message_id, "file_id": self.file}
        for name in case.path_parameters or {}:
            if name in known:
                case.path_parameters[name] = known[name]
        body: Any = case.body
        match case.operation.label:
            case "POST /v1/messages":
                body.pop("conversation_id", None)
                body |= {"chat_id": CHAT, "reply_to": self.message_id, "mentions": ["ana"]}
            case "POST /v1/conversations/{conversation_id}/read":
                body["seq"] = 1
            case "DELETE /v1/conversations/{conversation_id}/messages/{message_id}":
                case.path_parameters["message_id"] = self.to_delete
            case "POST /v1/conversations/{conversation_id}/members":
                case.path_parameters["conversation_id"] = self.group
                body["username"] = "carla"
            case "PATCH /v1/conversations/{conversation_id}/members/{username}":
                case.path_parameters["username"] = "ana"
            case "DELETE /v1/conversations/{conversation_id}/members/{username}":
                case.path_parameters |= {
                    "conversation_id": self._new_group("ana"),
                    "username": "ana",
                }
            case "DELETE /v1/conversations/{conversation_id}":
                case.path_parameters["conversation_id"] = self._new_group()
            case "DELETE /v1/sessions/{session_id}" if not self._is_enough("session"):
                case.path_parameters["session_id"] = self._another_session()
            case "GET /v1/files/{file_id}" | "GET /v1/files/{file_id}/thumbnail":
                (case.query or {}).pop("link", None)  # a link would be looked at, not the token
            case "POST /v1/files":
                case.body = b"first"
                case.headers.update({"Upload-Length": "5"})
                case.headers.pop("Upload-Checksum", None)
            case "PATCH /v1/files/{file_id}" if not self._is_enough("part"):
                case.path_parameters["file_id"] = self._uploaded(b"first", 9)
                case.body = b"last"
                case.headers.update({"Upload-Offset": "5"})
                case.headers.pop("Upload-Checksum", None)
            case "DELETE /v1/files/{file_id}":
                case.path_parameters["file_id"] = self._uploaded(b"to delete")
            case "GET /v1/users/{username}":
                case.path_parameters["username"] = "ana"
            case "PATCH /v1/users/{username}":
                case.path_parameters["username"] = "bruno"
                for name in ("email", "password", "current_password"):
                    body.pop(name, None)
            case "DELETE /v1/users/{username}" if not self._is_enough("user"):
                case.path_parameters["username"] = self._leaves()
            case "GET /v1/users" | "GET /v1/conversations" | "GET /v1/files":
                (case.query or {}).pop("cursor", None)
            case "GET /v1/conversations/{conversation_id}/members":
                (case.query or {}).pop("cursor", None)
            case "POST /v1/conversations":
                body.pop("title", None)
                body["members"] = ["ana"]
            case "POST /token":
                body |= {"username": "bruno", "password": "test"}
                body.pop("grant_type", None)
                body.pop("refresh_token", None)
            case "POST /v1/users":
                name = f"user{next(numbers)}"
                body |= {"username": name, "email": f"{name}@example.com"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("described")
    found = Running(folder).start()
    yield found
    found.kill()


@pytest.fixture
def member(running: Running) -> Member:
    return Member(running)


def as_it_comes(case: AnyCase) -> None:
    """Leave a request as it was made."""


NOT_HERE = {
    "POST /v1/files/initiate",
    "GET /v1/files/{file_id}/parts",
    "POST /v1/files/{file_id}/complete",
}
"""What one machine does not have: clients cannot reach its store of files."""

KINDS = [
    (GenerationMode.POSITIVE, Member.knows),
    (GenerationMode.POSITIVE, lambda _member, case: as_it_comes(case)),
    (GenerationMode.NEGATIVE, lambda _member, case: as_it_comes(case)),
]
"""Valid with what exists, valid as it comes, invalid."""


def examples(operation: Operation, mode: GenerationMode, count: int) -> list[AnyCase]:
    """Return requests, the same ones at every run."""
    found: list[AnyCase] = []

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(mode))
    def collect(case: AnyCase) -> None:
        found.append(case)

    collect()
    return found


def answers(
    operation: Operation, member: Member, url: str, session: requests.Session, count: int
) -> tuple[Counter[int], list[str]]:
    """Make requests of every kind; return how often each status came, and what was not right."""
    seen: Counter[int] = Counter()
    wrong = []
    for mode, prepare in KINDS:
        if mode is GenerationMode.NEGATIVE and not operation_takes(operation):
            continue  # nothing of it could be invalid
        for case in examples(operation, mode, count):
            prepare(member, case)
            headers = {"Authorization": f"Bearer {member.token_for(case)}"}
            answer = case.call(url, session, headers=headers, timeout=10)
            seen[answer.status_code] += 1
            try:
                is_absent = answer.status_code == 501 and operation.label in NOT_HERE
                case.validate_response(answer, checks=DESCRIBED if is_absent else CHECKED)
            except (Failure, FailureGroup) as failure:
                wrong.append(f"{operation.label}: {failure}")
    return seen, wrong


def operation_takes(operation: Operation) -> bool:
    """Say whether an operation has parameters or a body."""
    return bool(operation.body) or any(True for _ in operation.iter_parameters())


@pytest.mark.parametrize("service", ["gateway", "metadata"])
def test_every_answer_is_described(running: Running, member: Member, service: str) -> None:
    url = running.gateway if service == "gateway" else running.metadata
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    labels = []
    wrong: list[str] = []
    with requests.Session() as session:
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            seen, failures = answers(operation, member, url, session, EXAMPLES[service])
            wrong += failures
            print(operation.label, dict(seen))
            if operation.label in NOT_HERE:
                if 501 not in seen:
                    wrong.append(f"{operation.label} is there: {dict(seen)}")
            elif not any(200 <= status < 300 for status in seen):
                wrong.append(f"{operation.label} never succeeds: {dict(seen)}")
            labels.append(operation.label)
    assert wrong == []
    assert ("POST /v1/messages" in labels) == (service == "gateway")
    assert "POST /v1/users" in labels
    assert '"ERROR"' not in running.log()
