"""How calls to a database server are retried and bounded, without a server."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from chat4all.adapters.sql import server
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.domain.errors import OutcomeUnknown, Overloaded, Unavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServerDatabase]:
    monkeypatch.setattr(server, "CALL_SECONDS", 0.3)
    monkeypatch.setattr(server, "WAIT_FIRST_SECONDS", 0.0)
    found = ServerDatabase(ServerUrl("postgresql", "postgresql://u@127.0.0.1:9/x"))
    yield found
    await found.close()


class SqlState(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"state {sqlstate}")
        self.sqlstate = sqlstate


def attempts(monkeypatch: pytest.MonkeyPatch, *errors: Exception | None) -> Callable[[], int]:
    """Let attempts end with these errors, the last one again and again; return their counter."""
    count = 0

    async def attempt(_: object) -> str:
        nonlocal count
        count += 1
        error = errors[min(count, len(errors)) - 1]
        if error is not None:
            raise error
        return "done"

    monkeypatch.setattr(server._Call, "attempt", attempt)
    return lambda: count


def failed(sqlstate: str) -> DBAPIError:
    return DBAPIError("SELECT 1", {}, SqlState(sqlstate))


def no_work(_: Connection) -> Any:
    raise AssertionError


async def test_what_was_rolled_back_is_tried_again(
    database: ServerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = attempts(monkeypatch, failed("40001"), ConnectionResetError(), None)
    assert await database.write(no_work) == "done"
    assert count() == 3


async def test_tries_are_bounded(database: ServerDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    count = attempts(monkeypatch, failed("40001"))
    with pytest.raises(Unavailable, match="state 40001"):
        await database.write(no_work)
    assert count() == server.TRIES


async def test_what_is_wrong_is_not_tried_again(
    database: ServerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = attempts(monkeypatch, failed("42P01"))
    with pytest.raises(Unavailable, match="state 42P01"):
        await database.read(no_work)
    assert count() == 1


class Connected:
    """An engine whose connections do nothing but say what is done with them."""

    def __init__(self) -> None:
        self.working, self.go = asyncio.Event(), asyncio.Event()
        self.done: list[str] = []

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["Connected"]:
        yield self

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            self.done.append("rolled back")
            raise
        self.done.append("committed")

    async def run_sync(self, _work: object) -> None:
        self.working.set()
        await self.go.wait()


@pytest.mark.parametrize("given_up", [False, True])
async def test_nothing_is_committed_once_the_caller_was_told_that_nothing_was_done(
    given_up: bool,
) -> None:
    connected = Connected()
    call = server._Call(connected, no_work, writes=True)  # type: ignore[arg-type]
    attempt = asyncio.create_task(call.attempt())
    await connected.working.wait()
    if given_up:
        call.give_up()
        assert not isinstance(call.failure("no answer in time"), OutcomeUnknown)
    connected.go.set()
    await asyncio.wait([attempt])
    assert connected.done == ["rolled back" if given_up else "committed"]
    assert (attempt.exception() is None) == (not given_up)


async def test_a_server_that_hangs_is_waited_for_no_longer_than_a_call(
    database: ServerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attempt(_: object) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)  # to take the connection down

    monkeypatch.setattr(server._Call, "attempt", attempt)
    monkeypatch.setattr(database._waiting, "limit", 3)
    began = time.monotonic()
    calls = [asyncio.ensure_future(database.read(no_work)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match=r"^too many calls wait for postgresql at 127\.0\.0\.1:9$"):
        await database.read(no_work)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {str(result) for result in results} == {
        "postgresql at 127.0.0.1:9 does not answer (no answer in time): start it, or set "
        "DATABASE_URL to where it is"
    }
    assert time.monotonic() - began < 2
