"""Problems, request ids, health, and an OpenAPI description that matches the routes."""

import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from chat4all.domain.errors import Unavailable
from chat4all.http.health import _check
from chat4all.logs import quieten_libraries
from chat4all.wire.body_sizes import BODY_MAX, GROUP_BODY_MAX, MESSAGE_BODY_MAX
from tests.api.conftest import CHAT, Api, running

pytestmark = pytest.mark.anyio


def limit(path: str) -> int:
    """Return the bytes that a body may have."""
    larger = {"/v1/messages": MESSAGE_BODY_MAX, "/v1/conversations": GROUP_BODY_MAX}
    return larger.get(path, BODY_MAX)


JSON = {"Content-Type": "application/json"}


def check_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= problem.keys()
    assert problem["status"] == status
    assert problem["instance"] == answer.request.url.path
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["type"].startswith("/problems/")
    return problem


async def test_every_refusal_is_a_problem(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    as_json = bruno | JSON
    for path in ("/v1/messages", f"/v1/conversations/{CHAT}/read", "/v1/conversations"):
        for content, headers, status in [
            (b"{}", JSON, 401),
            (b"{}", JSON | {"Authorization": "Basic x"}, 401),
            (b"{}", bruno | {"Content-Type": "text/plain"}, 415),
            (b"{}", bruno | {"Content-Type": "application/json; charset=utf-16"}, 415),
            (b"{}", bruno, 415),
            (b"{not json", as_json, 400),
            (b"\xff\xfe{\0}\0", as_json, 400),
            (b"[" * 60_000, as_json, (400, 422)),
            (b'"' + b"x" * (limit(path) + 1) + b'"', as_json, 413),
            (b"{}", as_json, 422),
            (b"[]", as_json, 422),
            (b"null", as_json, 422),
        ]:
            answer = await api.gateway.post(path, content=content, headers=headers)
            wanted = status if isinstance(status, tuple) else (status,)
            assert answer.status_code in wanted, (path, content[:20], answer.text)
            check_problem(answer, answer.status_code)
            if status == 401:
                assert answer.headers["WWW-Authenticate"] == "Bearer"
            explained = await api.gateway.get(answer.json()["type"])
            assert explained.status_code == 200
            assert explained.text.strip()


async def test_a_body_that_does_not_say_its_length_is_cut_off(api: Api) -> None:
    as_json = await api.sign_in("bruno") | JSON
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1024

    for path in ("/v1/messages", f"/v1/conversations/{CHAT}/read", "/v1/conversations"):
        answer = await api.gateway.post(path, content=endless(), headers=as_json)
        check_problem(answer, 413)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    check_problem(await api.gateway.post("/token", content=endless(), headers=form), 413)
    assert sent < (2 * BODY_MAX + MESSAGE_BODY_MAX + GROUP_BODY_MAX) // 1024 + 4 * 16


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, "/content /chat_id"),
        ({"content": "", "chat_id": 1, "message_id": "1"}, "/content /chat_id /message_id"),
        ({"content": "x"}, "/chat_id"),
        ({"content": "", "chat_id": CHAT}, "/content"),
        ({"content": "x" * 10_001, "chat_id": CHAT}, "/content"),
        ({"content": 1, "chat_id": CHAT}, "/content"),
        ({"content": "x", "chat_id": "abc"}, "/chat_id"),
        ({"content": "x", "chat_id": CHAT + "\n"}, "/chat_id"),
        ({"content": "x", "chat_id": CHAT, "message_id": "1"}, "/message_id"),
    ],
)
async def test_an_invalid_message_names_its_broken_fields(
    api: Api, body: dict[str, object], pointers: str
) -> None:
    answer = await api.gateway.post("/v1/messages", json=body, headers=await api.sign_in("bruno"))
    assert [e["pointer"] for e in check_problem(answer, 422)["errors"]] == pointers.split()


async def test_a_lone_surrogate_is_refused(api: Api) -> None:
    body = b'{"chat_id": "%s", "content": "a\\ud800b"}' % CHAT.encode()
    bruno = await api.sign_in("bruno")
    answer = await api.gateway.post("/v1/messages", content=body, headers=bruno | JSON)
    check_problem(answer, 400)


async def test_unknown_routes_and_methods(api: Api) -> None:
    check_problem(await api.gateway.get("/nowhere"), 404)
    answer = await api.gateway.get("/v1/messages")
    check_problem(answer, 405)
    assert answer.headers["Allow"] == "POST"
    check_problem(await api.gateway.put("/token"), 405)
    for query in ("limit=0", "limit=201", "before=-1", "after=x", "before=1&after=1"):
        path = f"/v1/conversations/{CHAT}/messages?{query}"
        check_problem(await api.gateway.get(path, headers=await api.sign_in("bruno")), 422)
    check_problem(
        await api.gateway.get("/v1/conversations/abc/messages", headers=await api.sign_in("bruno")),
        422,
    )


async def test_an_unexpected_error_is_logged_and_tells_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bruno = await api.sign_in("bruno")

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a detail of the inside")

    monkeypatch.setattr(api.parts.log, "append", broken)
    body = {"chat_id": CHAT, "content": "x"}
    answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
    check_problem(answer, 500)
    assert "inside" not in answer.text
    assert any(r.exc_info and r.exc_info[0] is ZeroDivisionError for r in caplog.records)


async def test_request_ids_are_taken_where_they_are_harmless(api: Api) -> None:
    answer = await api.gateway.get("/health", headers={"X-Request-Id": "mine-1.a_B"})
    assert answer.headers.get_list("x-request-id") == ["mine-1.a_B"]
    for bad in ("x" * 65, "a b", 'a"b', ""):
        answer = await api.gateway.get("/health", headers={"X-Request-Id": bad})
        assert re.fullmatch("[0-9a-f-]{36}", answer.headers["x-request-id"])


async def test_neither_content_nor_secrets_are_logged(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    quieten_libraries()
    bruno = await api.sign_in("bruno")
    await api.send(bruno, "very private")
    body = {"chat_id": "very private", "content": "very private"}
    await api.gateway.post("/v1/messages", json=body, headers=bruno)
    user = {"username": "carla", "email": "very@private.org", "password": "very private"}
    await api.gateway.post("/v1/users", json=user)
    await api.gateway.post("/v1/users", json=user)
    await api.gateway.post("/token", data={"username": "carla", "password": "very privat"})
    await api.parts.log.append(CHAT, b'{"type":"chat_message","content":"very private"}')  # type: ignore[arg-type]
    await api.routed()
    logged = "\n".join(str(record.__dict__) for record in caplog.records)
    assert "dead letter" in logged
    for secret in ("very privat", "very@private", bruno["Authorization"]):
        assert secret not in logged


async def test_ready_names_the_unavailable_dependency(api: Api) -> None:
    answer = await api.gateway.get("/health/ready")
    assert answer.status_code == 200
    found = answer.json()["dependencies"]
    assert set(found) == {"log", "store", "directory", "router", "files", "background work"}
    assert {d["status"] for d in found.values()} == {"ok"}
    await api.parts.log.append(CHAT, b'{"type":"chat_message","v":9}')  # type: ignore[arg-type]
    while answer.status_code == 200:
        answer = await api.gateway.get("/health/ready")
    assert answer.status_code == 503
    assert "version 9" in answer.json()["dependencies"]["router"]["error"]
    for client in (api.gateway, api.metadata):
        for path in ("/health", "/health/live"):
            assert (await client.get(path)).json() == {"status": "ok"}
        assert (await client.get("/health/ready")).status_code in (200, 503)


async def test_a_port_that_fails_is_not_ready() -> None:
    async def away() -> None:
        raise Unavailable("gone")

    assert (await _check(away)).error == "gone"


async def test_the_description_has_every_route_with_its_errors(api: Api) -> None:
    described = (await api.gateway.get("/openapi.json")).json()
    operations = {
        (method, path): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert ("post", "/v1/messages") in operations
    assert ("post", "/v1/users") in operations
    for (method, path), operation in operations.items():
        assert operation.get("summary"), (method, path)
        assert operation["responses"], (method, path)
        public = path.startswith("/health") or path in ("/metrics", "/token")
        public = public or (method, path) == ("post", "/v1/users") or method == "options"
        assert ("401" in operation["responses"]) == (path == "/token" or not public), path
        for status, response in operation["responses"].items():
            if status >= "400" and path != "/health/ready":
                content = resolved(response, described)["content"]["application/problem+json"]
                kind = await api.gateway.get(content["example"]["type"])
                assert kind.status_code == 200, (path, status)
    text = json.dumps(described)
    for reference in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert reference in described["components"]["schemas"], reference


def resolved(response: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    """Return a response, or the one that it refers to."""
    if "$ref" in response:
        name = response["$ref"].removeprefix("#/components/responses/")
        response = described["components"]["responses"][name]
    return response


async def test_each_error_is_described_once(api: Api) -> None:
    for client in (api.gateway, api.metadata):
        described = (await client.get("/openapi.json")).json()
        problems = described["components"]["responses"]
        statuses = {name.removeprefix("Problem") for name in problems}
        assert {"400", "401", "404", "422", "503"} <= statuses
        for methods in described["paths"].values():
            for operation in methods.values():
                for status in statuses & operation["responses"].keys():
                    response = operation["responses"][status]
                    assert response == {"$ref": f"#/components/responses/Problem{status}"} or (
                        # Readiness is no problem, and some have a meaning of their own.
                        "application/json" in response["content"]
                        or response["description"] != problems[f"Problem{status}"]["description"]
                    )
        for status in statuses:
            assert described["info"]["description"].count(f"| {status} |") == 1


async def test_every_conflict_is_described_by_its_route(api: Api) -> None:
    """Fails when a 409 is described as it is elsewhere: "already taken" is true of few."""
    paths = (await api.gateway.get("/openapi.json")).json()["paths"]
    conflicts = {
        (method, path): operation["responses"]["409"]
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "409" in operation["responses"]
    }
    assert all("$ref" not in response for response in conflicts.values())
    member = "/v1/conversations/{conversation_id}/members/{username}"
    for route, said in [
        (("post", "/v1/messages"), "held back"),
        (("patch", member), "last owner"),
        (("delete", member), "last owner"),
        (("post", "/v1/users"), "in use"),
    ]:
        assert said in conflicts[route]["description"]
        (content,) = conflicts[route]["content"].values()
        assert content["example"]["detail"] == conflicts[route]["description"]


async def test_the_page_of_documentation_tells_what_a_newcomer_needs(api: Api) -> None:
    root = await api.metadata.get("/")
    assert (root.status_code, root.headers["Location"]) == (307, "/docs")
    told = (await api.gateway.get("/openapi.json")).json()["info"]["description"]
    for said in ("`bruno`", "`ana`", "`test`", CHAT, "before=", "after=", "around=", "mark_read"):
        assert said in told
    described = (await api.gateway.get("/openapi.json")).json()["paths"]
    history = described["/v1/conversations/{conversation_id}/messages"]["get"]
    for parameter in history["parameters"]:
        if parameter["name"] in ("before", "after", "around"):
            assert "`seq`" in parameter["description"]


@pytest.mark.thorough
async def test_the_demonstration_is_told_of_at_every_start_but_not_where_it_is_off(
    tmp_path: Path,
) -> None:
    for demo, told in [(True, True), (False, False), (True, True)]:
        async with running(tmp_path / "data", new=True, demo=demo) as api:
            description = (await api.gateway.get("/openapi.json")).json()["info"]["description"]
            assert ("demonstration accounts" in description) == told
            assert ("unless it was changed" in description) == told


async def test_every_page_of_documentation_says_where_a_token_is_had(api: Api) -> None:
    gateway, metadata = [
        (await client.get("/openapi.json")).json() for client in (api.gateway, api.metadata)
    ]
    (scheme,) = gateway["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] in gateway["paths"]
    (scheme,) = metadata["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    # Nobody can sign in there, not even those whom the gateway's page names.
    assert "gateway" in scheme["description"]
    assert "`POST /token` on its page `/docs`" in metadata["info"]["description"]
    assert "`bruno`" not in metadata["info"]["description"]


@pytest.mark.parametrize("service", ["gateway", "metadata"])
async def test_every_operation_names_a_scheme_that_is_described(api: Api, service: str) -> None:
    described = (await getattr(api, service).get("/openapi.json")).json()
    schemes = described["components"]["securitySchemes"].keys()
    named = {
        name
        for methods in described["paths"].values()
        for operation in methods.values()
        for way in operation.get("security", [])
        for name in way
    }
    assert named == schemes


async def test_docs_need_nothing_from_elsewhere(api: Api) -> None:
    page = (await api.gateway.get("/docs")).text
    for url in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert url.startswith("/"), url
        assert (await api.gateway.get(url)).status_code == 200


_uuids = st.sampled_from([CHAT, CHAT.upper(), CHAT + "\n", CHAT[1:], "", 7, None])
_bodies = st.fixed_dictionaries(
    {},
    optional={
        "content": st.sampled_from(["x", "", "x" * 10_000, "x" * 10_001, "é\0🎉", 1, None, ["x"]]),
        "chat_id": _uuids,
        "conversation_id": _uuids,
        "message_id": _uuids,
        "more": st.just(1),
    },
)


@pytest.fixture
async def unlimited(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path / "data", rate_limits=False) as found:
        yield found


@pytest.mark.thorough
async def test_sending_takes_what_its_description_allows_and_nothing_else(unlimited: Api) -> None:
    api = unlimited
    described = (await api.gateway.get("/openapi.json")).json()
    operation = described["paths"]["/v1/messages"]["post"]
    media = operation["requestBody"]["content"]["application/json"]
    validator = Draft202012Validator(media["schema"] | {"components": described["components"]})
    examples: list[object] = []

    @settings(max_examples=300, database=None)
    @given(_bodies)
    def collect(body: object) -> None:
        examples.append(body)

    collect()
    examples.append(media["example"])
    bruno = await api.sign_in("bruno")
    seen = set()
    for body in examples:
        answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
        wanted = 202 if validator.is_valid(body) else 422
        assert answer.status_code == wanted, body
        accepted = resolved(operation["responses"][str(wanted)], described)["content"]
        (schema,) = [found["schema"] for found in accepted.values()]
        answered = Draft202012Validator(schema | {"components": described["components"]})
        answered.validate(answer.json())
        seen.add(wanted)
    assert seen == {202, 422}
