"""The log of requests: whose, from where, and why they were refused, and nothing that was sent."""

import asyncio
import logging
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat4all.http import access_log
from chat4all.http.access_log import CALLER, AccessLog
from chat4all.http.limits import SIGN_IN_ACCOUNT
from chat4all.http.problems import REASON
from chat4all.http.route_limits import RouteLimits
from chat4all.wire.body_sizes import MESSAGE_BODY_MAX
from tests.api.conftest import CHAT, Api, running
from tests.api.test_http import check_problem
from tests.api.test_limits import from_address
from tests.clocks import Clock
from tests.input.servers import serving

pytestmark = pytest.mark.anyio

NOWHERE = f"/v1/conversations/{uuid.UUID(int=0)}"
HIDDEN = "hidden-5f3a"
"""In everything that must not be logged."""


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.INFO)
    yield caplog
    assert HIDDEN not in "".join(str(record.__dict__) for record in caplog.records)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [r.__dict__ for r in caplog.records if r.name == "chat4all.access"]


def the_line(caplog: pytest.LogCaptureFixture, status: int) -> dict[str, Any]:
    (line,) = lines(caplog)
    caplog.clear()
    assert (line["message"], line["status"]) == ("request", status)
    return line


async def test_every_refusal_says_who_from_where_and_why(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    ana = await api.sign_in("ana")
    (session,) = (await api.gateway.get("/v1/sessions", headers=ana)).json()
    bad = {"Authorization": f"Bearer {HIDDEN}"}
    send: dict[str, Any] = {"chat_id": CHAT, "content": HIDDEN}
    caplog.clear()
    cases: list[tuple[int, str, str, str, dict[str, Any]]] = [
        (400, "POST", "/v1/messages", "not JSON", {"headers": ana, "content": HIDDEN}),
        (401, "GET", "/v1/me", "send a token", {}),
        (401, "GET", "/v1/me", "token", {"headers": bad}),
        (401, "POST", "/v1/messages", "token", {"headers": bad, "json": send}),
        (403, "PATCH", "/v1/users/bruno", "only change yourself", {"headers": ana, "json": {}}),
        (404, "GET", NOWHERE, "no such conversation", {"headers": ana}),
        (404, "GET", f"{NOWHERE}/messages?x={HIDDEN}", "no such", {"headers": ana}),
        (404, "GET", "/nowhere", "no such route", {}),
        (405, "PUT", "/v1/me", "other methods", {}),
        (405, "PUT", "/v1/messages", "POST only", {}),
        (
            409,
            "POST",
            "/v1/users",
            "taken",
            {"json": {"username": "ana", "email": "x@example.com", "password": HIDDEN}},
        ),
        (
            413,
            "POST",
            "/v1/messages",
            f"{MESSAGE_BODY_MAX // 1024} KiB",
            {"headers": ana, "content": HIDDEN * MESSAGE_BODY_MAX},
        ),
        (415, "POST", "/v1/messages", "send JSON", {"headers": ana, "data": {"a": HIDDEN}}),
        (
            422,
            "POST",
            "/v1/messages",
            "invalid: /content",
            {"headers": ana, "json": send | {"content": 1}},
        ),
        (
            422,
            "POST",
            "/v1/users",
            "invalid",
            {"json": {"username": HIDDEN + "ß", "email": HIDDEN, "password": "x", HIDDEN: 1}},
        ),
        (422, "GET", f"/v1/conversations?limit={HIDDEN}", "invalid: /query", {"headers": ana}),
    ]
    for status, method, path, reason, sent in cases:
        sent.setdefault("headers", {})
        if "content" in sent:
            sent["headers"] = sent["headers"] | {"Content-Type": "application/json"}
        async with from_address(api, "192.0.2.7") as client:
            answer = await client.request(method, path, **sent)
        assert answer.status_code == status, (method, path, answer.text)
        line = the_line(caplog, status)
        assert (line["client"], line["method"]) == ("192.0.2.7", method)
        assert line["path"] == path.partition("?")[0]
        assert reason in line["reason"], line["reason"]
        assert line["problem"] is not None
        if sent["headers"].get("Authorization") == ana["Authorization"]:
            assert (line["user"], line["session"]) == ("ana", session["session_id"])
        else:
            assert (line["user"], line["session"]) == (None, None)


async def test_a_failed_sign_in_names_the_account_and_nobody_who_is_none(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    for username, reason in (("ana", "wrong username or password: ana"), (HIDDEN, None)):
        form = {"username": username, "password": HIDDEN}
        assert (await api.gateway.post("/token", data=form)).status_code == 401
        line = the_line(caplog, 401)
        assert line["reason"] == (reason or "wrong username or password")
    form = {"grant_type": "refresh_token", "refresh_token": HIDDEN}
    assert (await api.gateway.post("/token", data=form)).status_code == 400
    assert "refresh token" in the_line(caplog, 400)["reason"]


async def test_too_many_wrong_passwords_name_the_account_and_nobody_who_is_none(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    most, _ = SIGN_IN_ACCOUNT
    for username, named in (("ana", ": ana"), (HIDDEN, "")):
        form = {"username": username, "password": HIDDEN}
        for _ in range(most):
            assert (await api.gateway.post("/token", data=form)).status_code == 401
        caplog.clear()
        answer = await api.gateway.post("/token", data=form)
        check_problem(answer, 429)
        line = the_line(caplog, 429)
        assert line["reason"] == f"too many requests (sign-in-account); try again later{named}"
        assert username not in answer.json()["detail"]


async def test_a_refusal_by_a_limit_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path / "data", conversations_per_hour=1) as api:
        ana = await api.sign_in("ana")
        body = {"type": "group", "members": []}
        for _ in range(2):
            caplog.clear()
            await api.gateway.post("/v1/conversations", json=body, headers=ana)
        line = the_line(caplog, 429)
        assert (line["user"], line["problem"]) == ("ana", "too-many-requests")
        assert "start-conversation" in line["reason"]


@pytest.mark.parametrize(
    ("origin", "method", "what"),
    [
        (
            f"https://{HIDDEN}",
            "POST",
            "origin; see CHAT4ALL_CORS_ORIGINS",
        ),
        ("https://chat.example.com", HIDDEN, "method"),
    ],
)
async def test_a_refused_preflight_is_a_problem_and_logged_as_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, origin: str, method: str, what: str
) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    reason = f"CORS does not allow this: {what}"
    async with running(tmp_path / "data", cors_origins=("https://chat.example.com",)) as api:
        answer = await api.gateway.options("/v1/messages", headers=headers)
    check_problem(answer, 400)
    assert answer.json()["detail"] == reason
    assert "POST" in answer.headers["access-control-allow-methods"]
    line = the_line(caplog, 400)
    assert (line["problem"], line["reason"]) == ("bad-request", reason)


@pytest.mark.parametrize(
    ("peer", "client"), [("10.1.2.3", "203.0.113.9"), ("192.0.2.8", "192.0.2.8")]
)
async def test_only_a_trusted_proxy_says_whose_request_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, peer: str, client: str
) -> None:
    async with running(tmp_path / "data", trusted_proxies=("10.0.0.0/8",)) as api:
        async with from_address(api, peer) as asking:
            await asking.get("/v1/me", headers={"X-Forwarded-For": "203.0.113.9"})
        assert the_line(caplog, 401)["client"] == client


HEAD = "POST /v1/messages HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "reason", "is_forwarded"),
    [
        ("NOT HTTP\r\n\r\n", 400, "this is not HTTP/1.1", False),
        (HEAD + "Content-Length: x\r\n\r\n", 400, "this is not HTTP/1.1", True),
        ("GET /" + "a" * 40_000 + " HTTP/1.1\r\n\r\n", 414, "larger than 32 KiB", False),
        (HEAD + f"X: {'y' * 30}\r\n" * 200 + "\r\n", 431, "the headers are more than 100", True),
    ],
)
async def test_what_the_connection_refuses_is_logged(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    sent: str,
    status: int,
    reason: str,
    is_forwarded: bool,
) -> None:
    async with (
        running(tmp_path / "data", trusted_proxies=("127.0.0.1",)) as api,
        serving(api.parts.gateway) as served,
    ):
        assert (await refused(served.port, sent)).startswith(f"HTTP/1.1 {status} ")
        line = the_line(caplog, status)
        assert reason in line["reason"]
        assert line["client"] == ("203.0.113.9" if is_forwarded else "127.0.0.1")
        assert len(line["path"]) <= access_log.PATH_MAX


@pytest.mark.thorough
async def test_a_request_that_is_too_slow_is_logged_with_its_user(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = partial(RouteLimits, seconds=0.1)
    monkeypatch.setattr(
        "chat4all.gateway.sending.limits_for_body", lambda body, rate: hasty(body, rate=rate)
    )
    async with running(tmp_path / "data") as api, serving(api.parts.gateway) as served:
        ana = await api.sign_in("ana")
        head = f"{HEAD}Authorization: {ana['Authorization']}\r\nContent-Type: application/json\r\n"
        body = "Content-Length: 99\r\n\r\n{"
        assert (await refused(served.port, head + body)).startswith("HTTP/1.1 408 ")
    line = the_line(caplog, 408)
    assert (line["user"], line["client"]) == ("ana", "127.0.0.1")
    assert "did not arrive whole" in line["reason"]


async def refused(port: int, sent: str) -> str:
    """Send, and return what is answered until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent.encode())
    async with asyncio.timeout(15):
        answer = await reader.read()
    writer.close()
    return answer.decode()


def scope_of(status: int) -> dict[str, Any]:
    return {"method": "GET", "path": "/v1/me", "client": ("192.0.2.1", 5), REASON: f"why {status}"}


async def test_a_flood_costs_a_bounded_number_of_lines_and_is_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "SAID_AFTER_SECONDS", 0.01)
    log = AccessLog(clock=Clock())
    most, _ = access_log.LINES
    for _ in range(most + 30):
        log.answered(scope_of(401), 401, 0.1)
    for _ in range(12):
        log.answered(scope_of(404), 404, 0.1)
    log.answered(scope_of(503), 503, 0.1)  # failures are not hidden by refusals
    assert [line["status"] for line in lines(caplog)] == [401] * most + [503]
    caplog.clear()
    async with asyncio.timeout(5):
        while not caplog.records:
            await asyncio.sleep(0.001)
    (said,) = lines(caplog)
    assert said["levelname"] == "WARNING"
    assert said["statuses"] == {"401": 30, "404": 12}


async def test_after_a_flood_lines_are_written_again(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = AccessLog(clock=clock)
    most, seconds = access_log.LINES
    for _ in range(2 * most):
        log.answered(scope_of(401), 401, 0.1)
    clock.now += seconds
    caplog.clear()
    log.answered(scope_of(401) | {CALLER: None}, 401, 0.1)
    assert the_line(caplog, 401)["reason"] == "why 401"


async def test_what_went_well_is_logged_at_debug_only(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    ana = await api.sign_in("ana")
    assert lines(caplog) == []
    caplog.set_level(logging.DEBUG)
    answer = await api.gateway.get("/v1/me", headers=ana)
    assert isinstance(answer, httpx.Response)
    line = the_line(caplog, 200)
    assert (line["user"], line["client"]) == ("ana", "127.0.0.1")
