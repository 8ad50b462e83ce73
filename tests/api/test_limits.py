"""Limits on sending, signing up and signing in, as clients meet them."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat4all.http import limits
from tests.api.conftest import CHAT, Api, running
from tests.api.test_http import check_problem
from tests.clocks import Clock

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    real = limits.make_limits

    def stopped(**given: Any) -> limits.Limits:
        return real(**given, clock=clock)

    monkeypatch.setattr("chat4all.processes.policy.make_limits", stopped)
    return clock


@pytest.fixture
async def slow(clock: Clock, tmp_path: Path) -> AsyncIterator[Api]:
    """Two messages a second, after a burst of eight, and two sign-ups an hour."""
    async with running(tmp_path / "data", send_per_second=2, sign_ups_per_hour=2) as found:
        yield found


@asynccontextmanager
async def from_address(api: Api, host: str, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(api.parts.gateway, client=(host, 5))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway", headers=headers
    ) as client:
        yield client


def check_too_many(answer: httpx.Response, name: str, retry_after: int) -> None:
    assert check_problem(answer, 429)["type"] == "/problems/too-many-requests"
    assert answer.headers["Retry-After"] == str(retry_after)
    assert f'"{name}";r=0;t=' in answer.headers["RateLimit"]
    assert f'"{name}";q=' in answer.headers["RateLimit-Policy"]


async def test_sending_is_limited_by_user(slow: Api, clock: Clock) -> None:
    bruno, ana = await slow.sign_in("bruno"), await slow.sign_in("ana")
    body = {"chat_id": CHAT, "content": "x"}

    async def send(who: dict[str, str]) -> httpx.Response:
        return await slow.gateway.post("/v1/messages", json=body, headers=who)

    for left in range(7, -1, -1):
        answer = await send(bruno)
        assert answer.status_code == 202
        assert answer.headers["RateLimit-Policy"] == '"send";q=8;w=4'
        assert answer.headers["RateLimit"] == f'"send";r={left};t=1'
    answer = await send(bruno)
    check_too_many(answer, "send", 1)
    assert "message_id" not in answer.json()
    assert (await send(ana)).status_code == 202
    clock.now += 0.5
    assert (await send(bruno)).status_code == 202
    check_too_many(await send(bruno), "send", 1)
    await slow.routed()
    assert len(await slow.history(bruno)) == 10


@pytest.mark.thorough
async def test_invalid_messages_count_as_well(slow: Api) -> None:
    bruno = await slow.sign_in("bruno")
    for _ in range(8):
        answer = await slow.gateway.post("/v1/messages", json={}, headers=bruno)
        assert answer.status_code == 422
    answer = await slow.gateway.post("/v1/messages", json={}, headers=bruno)
    check_too_many(answer, "send", 1)


async def test_unauthenticated_requests_are_not_counted(slow: Api) -> None:
    for _ in range(20):
        answer = await slow.gateway.post("/v1/messages", json={})
        assert answer.status_code == 401
        assert "RateLimit" not in answer.headers


def user(name: str) -> dict[str, str]:
    return {"username": name, "email": f"{name}@example.com", "password": "long enough"}


async def test_signing_up_is_limited_by_address(slow: Api, clock: Clock) -> None:
    async with from_address(slow, "192.0.2.1") as one, from_address(slow, "192.0.2.2") as two:
        answer = await one.post("/v1/users", json=user("u1"))
        assert answer.status_code == 201
        assert answer.headers["RateLimit-Policy"] == '"sign-up";q=2;w=3600'
        assert answer.headers["RateLimit"] == '"sign-up";r=1;t=1800'
        # Asking whether a name is taken counts too.
        assert (await one.post("/v1/users", json=user("u1"))).status_code == 409
        check_too_many(await one.post("/v1/users", json=user("u2")), "sign-up", 1800)
        assert (await two.post("/v1/users", json=user("u2"))).status_code == 201
        clock.now += 1800
        assert (await one.post("/v1/users", json=user("u3"))).status_code == 201


async def test_guessing_a_password_is_limited_by_account(slow: Api, clock: Clock) -> None:
    wrong, right = ({"username": "bruno", "password": password} for password in ("wrong", "test"))
    for number in range(10):
        async with from_address(slow, f"192.0.2.{number}") as client:
            assert (await client.post("/token", data=wrong)).status_code == 401
    async with from_address(slow, "198.51.100.1") as client:
        check_too_many(await client.post("/token", data=wrong), "sign-in-account", 30)
        check_too_many(await client.post("/token", data=right), "sign-in-account", 30)
        ana = {"username": "ana", "password": "test"}
        for _ in range(20):
            assert (await client.post("/token", data=ana)).status_code == 200
        clock.now += 30
        answer = await client.post("/token", data=right)
        assert answer.status_code == 200
        policies = answer.headers["RateLimit-Policy"]
        assert policies == '"sign-in-address";q=60;w=60, "sign-in-account";q=10;w=300'


@pytest.mark.thorough
async def test_signing_in_is_limited_by_address(slow: Api) -> None:
    async with from_address(slow, "192.0.2.1") as client:
        for number in range(60):
            form = {"username": f"u{number}", "password": "wrong"}
            assert (await client.post("/token", data=form)).status_code == 401
        form = {"username": "bruno", "password": "test"}
        check_too_many(await client.post("/token", data=form), "sign-in-address", 1)


async def test_limits_can_be_turned_off(
    clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with running(tmp_path / "data", send_per_second=1, rate_limits=False) as api:
        assert [r.levelname for r in caplog.records if "limits are off" in r.message] == ["WARNING"]
        bruno = await api.sign_in("bruno")
        for _ in range(10):
            await api.send(bruno)
        body = {"chat_id": CHAT, "content": "x"}
        answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
        assert "RateLimit" not in answer.headers


async def test_sign_up_can_be_closed(tmp_path: Path) -> None:
    async with running(tmp_path / "data", sign_up="closed") as api:
        for client in (api.gateway, api.metadata):
            answer = await client.post("/v1/users", json=user("carla"))
            assert "closed" in check_problem(answer, 403)["detail"]
        await api.sign_in("bruno")


async def how_many_sign_up(api: Api, host: str, forwarded: list[str]) -> int:
    """Sign up once for each value of X-Forwarded-For; return how many were let through."""
    done = 0
    async with from_address(api, host) as client:
        for number, value in enumerate(forwarded):
            headers = {"X-Forwarded-For": value, "X-Forwarded-Proto": "https"}
            answer = await client.post("/v1/users", json=user(f"u{number}"), headers=headers)
            done += answer.status_code == 201
            assert answer.status_code in (201, 429)
    return done


async def test_forwarded_addresses_are_ignored_by_default(slow: Api) -> None:
    claims = [f"203.0.113.{n}" for n in range(4)]
    assert await how_many_sign_up(slow, "192.0.2.1", claims) == 2


@pytest.mark.parametrize(
    ("peer", "forwarded", "let_through"),
    [
        ("10.1.2.3", ["203.0.113.1", "203.0.113.2", "203.0.113.3"], 3),
        ("10.1.2.3", ["203.0.113.1"] * 3, 2),
        # What a client says itself stands before what the proxy adds.
        ("10.1.2.3", [f"203.0.113.{n}, 203.0.113.9" for n in range(3)], 2),
        ("192.0.2.7", ["203.0.113.1, 10.0.0.1", "203.0.113.2, 10.0.0.1", "203.0.113.3"], 3),
        ("192.0.2.8", ["203.0.113.1", "203.0.113.2", "203.0.113.3"], 2),
    ],
)
async def test_forwarded_addresses_of_a_trusted_proxy_count(
    clock: Clock, tmp_path: Path, peer: str, forwarded: list[str], let_through: int
) -> None:
    async with running(
        tmp_path / "data", sign_ups_per_hour=2, trusted_proxies=("10.0.0.0/8", "192.0.2.7")
    ) as api:
        assert await how_many_sign_up(api, peer, forwarded) == let_through
