"""What is said where an outcome is unknown: that it is, and what is right for that route."""

import re
from collections.abc import Iterator

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import Match

from chat4all.adapters.sql import SqlDirectory, SqlSessions, SqlUploads, SqlUsers
from chat4all.domain.errors import OutcomeUnknown, Unavailable
from chat4all.gateway.changing import changing_routes
from chat4all.gateway.files.direct import direct_routes
from chat4all.gateway.files.endpoints import ADVICE
from chat4all.gateway.files.links import link_routes
from chat4all.gateway.files.paths import FILE_PATH, FILES_PATH
from chat4all.gateway.marking import marking_routes
from chat4all.gateway.sending import SEND_PATH
from chat4all.gateway.signing_in import signing_in_routes
from chat4all.http import outcomes
from chat4all.http.openapi import problems
from chat4all.http.rates import BY_ROUTE
from chat4all.metadata import metadata_routes
from tests.api.conftest import CHAT, Api
from tests.api.tus import OCTETS, RESUMABLE

pytestmark = pytest.mark.anyio

UPLOAD = {**RESUMABLE, **OCTETS, "Upload-Length": "3", "Upload-Offset": "0"}

GONE = "A" * 22 + "." + "B" * 43


FAST = {f"POST {SEND_PATH}": outcomes.MESSAGE, **ADVICE}


def writing_routes() -> Iterator[APIRoute]:
    """Yield every route that changes something, except those that are answered before FastAPI."""
    routers: list[APIRouter] = [
        *metadata_routes(),
        signing_in_routes(),
        marking_routes(),
        changing_routes(),
        direct_routes(),
        link_routes(),
    ]
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and (route.methods or set()) - {"GET", "HEAD"}:
                yield route


def test_every_route_that_writes_says_what_to_do() -> None:
    advice = {
        f"{method} {route.path}": outcomes.advice_of({"endpoint": route.endpoint})
        for route in writing_routes()
        for method in route.methods or ()
    } | FAST
    writing = {route for route in BY_ROUTE if not route.startswith("GET ")}
    assert writing == set(advice) - {f"HEAD {FILE_PATH}"}
    assert [route for route, text in advice.items() if text in (None, outcomes.ANY)] == []
    # What must not be done twice is not just sent again.
    creations = {route for route, text in advice.items() if text == outcomes.CREATION}
    assert creations == {
        "POST /v1/users",
        "POST /v1/conversations",
        "POST /v1/conversations/{conversation_id}/members",
    }


MEMBERS = f"/v1/conversations/{CHAT}/members"


@pytest.mark.parametrize(
    ("owner", "port", "method", "path", "body", "said"),
    [
        (SqlUsers, "change_user", "PATCH", "/v1/users/bruno", {"email": "x@y.org"}, "profile"),
        (SqlUsers, "erase_user", "DELETE", "/v1/users/bruno", None, "401 means"),
        (SqlDirectory, "change_role", "PATCH", f"{MEMBERS}/ana", {"role": "admin"}, "403 after"),
        (SqlDirectory, "remove_member", "DELETE", f"{MEMBERS}/ana", None, "404 means"),
        (SqlDirectory, "delete_conversation", "DELETE", f"/v1/conversations/{CHAT}", None, "404"),
        (SqlSessions, "end", "DELETE", f"/v1/sessions/{CHAT}", None, "401 if it was your own"),
        (SqlSessions, "end", "POST", "/v1/logout", None, "401 means"),
        (SqlUploads, "create", "POST", FILES_PATH, None, "first among your files"),
        (SqlUploads, "find", "HEAD", f"{FILES_PATH}/{CHAT}", None, "send it again"),
        (SqlUploads, "take", "PATCH", f"{FILES_PATH}/{CHAT}", None, "with HEAD"),
        (SqlUploads, "end", "DELETE", f"{FILES_PATH}/{CHAT}", None, "404 means"),
        (SqlSessions, "start", "POST", "/token", {"username": "bruno"}, "send it again"),
        (SqlSessions, "rotate", "POST", "/token", {"refresh_token": GONE}, "for 30 s"),
    ],
)
async def test_an_unknown_outcome_is_called_one(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    port: str,
    method: str,
    path: str,
    body: dict[str, str] | None,
    said: str,
) -> None:
    bruno = await api.sign_in("bruno")

    async def unknown(*_: object, **__: object) -> None:
        raise OutcomeUnknown("10.1.2.3 was lost", "the directory does not answer")

    monkeypatch.setattr(owner, port, unknown)
    if path == "/token":
        grant = "refresh_token" if port == "rotate" else "password"
        form = {"grant_type": grant, "password": "test", **(body or {})}
        answer = await api.gateway.post(path, data=form)
    elif path.startswith(FILES_PATH):
        if method == "HEAD":
            method, bruno = "POST", bruno | {"X-HTTP-Method-Override": method}
        answer = await api.gateway.request(method, path, headers=bruno | UPLOAD)
    else:
        answer = await api.gateway.request(method, path, json=body, headers=bruno)
    detail = check_unknown(answer)
    assert said in detail
    assert "Idempotency-Key" not in detail
    assert "message_id" not in detail


async def test_the_repeat_is_answered_as_the_advice_says(api: Api) -> None:
    """Of what was done: each request is sent twice."""
    await api.sign_up("carla")
    first, bruno = await api.sign_in("bruno"), await api.sign_in("bruno")
    devices = (await api.gateway.get("/v1/sessions", headers=bruno)).json()
    other, own = sorted(devices, key=lambda one: bool(one["current"]))[-2:]
    ana = await api.sign_in("ana")
    await api.gateway.patch(f"{MEMBERS}/ana", json={"role": "owner"}, headers=bruno)

    async def twice(
        who: dict[str, str], method: str, path: str, body: dict[str, str] | None = None
    ) -> tuple[list[int], str]:
        answers = [
            (await api.gateway.request(method, path, json=body, headers=who)).status_code
            for _ in range(2)
        ]
        return answers, advice_for(method, path)

    for asked, statuses in (
        (await twice(bruno, "PATCH", f"{MEMBERS}/ana", {"role": "admin"}), [200, 200]),
        (await twice(bruno, "PATCH", f"{MEMBERS}/ana", {"role": "owner"}), [200, 200]),
        (await twice(ana, "PATCH", f"{MEMBERS}/ana", {"role": "member"}), [200, 403]),
        (await twice(bruno, "DELETE", f"{MEMBERS}/ana"), [204, 404]),
        (await twice(bruno, "DELETE", f"/v1/sessions/{other['session_id']}"), [204, 404]),
        (await twice(bruno, "DELETE", f"/v1/sessions/{own['session_id']}"), [204, 401]),
        (await twice(ana, "POST", "/v1/logout"), [204, 401]),
    ):
        assert asked[0] == statuses
        if statuses[1] >= 400:
            assert str(statuses[1]) in asked[1], asked[1]
    assert (await api.gateway.get("/v1/me", headers=first)).status_code == 401


def advice_for(method: str, path: str) -> str:
    """Return the advice of the route of a request."""
    (found,) = [
        outcomes.advice_of({"endpoint": route.endpoint})
        for route in writing_routes()
        if route.matches({"type": "http", "method": method, "path": path})[0] is Match.FULL
    ]
    return found or ""


def check_unknown(answer: httpx.Response) -> str:
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (503, "/problems/outcome-unknown")
    assert "Retry-After" in answer.headers
    detail: str = problem["detail"]
    assert detail.startswith("the directory does not answer: it may or may not have been done; ")
    assert "same id" not in detail
    return detail


async def test_a_marker_that_may_be_there_makes_no_unknown_member(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does no harm, and nobody was added: that is known."""
    bruno = await api.sign_in("bruno")
    await api.sign_up("carla")
    await api.send(bruno)
    await api.routed()

    async def unknown(*_: object) -> None:
        raise OutcomeUnknown("lost", "the log does not answer")

    monkeypatch.setattr(api.parts.log, "append", unknown)
    answer = await api.gateway.post(MEMBERS, json={"username": "carla"}, headers=bruno)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")


def test_no_text_of_503_is_about_one_kind_of_request_only() -> None:
    (described,) = [problem["description"] for problem in problems(503).values()]
    for text in (described, OutcomeUnknown.__doc__ or "", Unavailable.__doc__ or ""):
        assert not re.search("same id", text, re.IGNORECASE)
