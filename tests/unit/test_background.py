"""Background work survives whatever happens in it, and readiness says when it does not work."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from chat4all.adapters.embedded import EmbeddedFeed, EmbeddedLog, GatewayLink, RouterLink, link
from chat4all.adapters.embedded.link import Kind
from chat4all.adapters.kafka import KafkaProducer
from chat4all.concurrency import periodic
from chat4all.concurrency.periodic import (
    FAILING_SECONDS,
    FAILURES_SHOWN,
    HANGING_SECONDS,
    for_ever,
    periodically,
    ping_background,
)
from chat4all.domain.errors import Degraded, OutcomeUnknown, Unavailable
from chat4all.domain.events import MessageStored
from chat4all.http.health import health_routes
from chat4all.ports.feed import Decode
from tests.clocks import Clock
from tests.messages import message
from tests.records import CHATS

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()

    class Time:
        monotonic = staticmethod(found)

    monkeypatch.setattr(periodic, "time", Time)
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


class Work:
    """Work that goes as it is set, and counts its runs."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.hangs = False
        self.runs = 0

    async def __call__(self) -> None:
        self.runs += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    async def more(self, count: int = FAILURES_SHOWN + 1) -> None:
        target = self.runs + count
        await until(lambda: self.runs >= target)


async def a_cancelled_future() -> None:
    """Await what somebody else has cancelled, as a driver's shared connection attempt may be."""
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner


@pytest.mark.parametrize("run", [periodically, for_ever])
async def test_a_cancellation_from_inside_ends_nothing(run: Any) -> None:
    """Fails when a `CancelledError` of something that was awaited ends the loop in silence."""
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        await a_cancelled_future()

    async with run("cancelled inside", work, 0.001):
        await until(lambda: runs > 3)
        await ping_background()
    before = runs
    await asyncio.sleep(0.005)
    assert runs == before, "leaving the context ends it"


@pytest.mark.parametrize("error", [RuntimeError("odd"), Unavailable("the disk is full")])
async def test_what_fails_again_and_again_is_reported_until_it_works(
    error: Exception, clock: Clock
) -> None:
    work = Work()
    async with periodically("trimming", work, 0.001):
        await work.more()
        await ping_background()
        work.error = error
        await work.more()
        await ping_background()  # for a moment only so far
        clock.now += FAILING_SECONDS
        with pytest.raises(Degraded, match=r"trimming has failed .* times in a row") as told:
            await ping_background()
        assert ("the disk is full" in str(told.value)) == isinstance(error, Unavailable)
        assert "odd" not in str(told.value)
        work.error = None
        await work.more()
        await ping_background()


async def test_all_that_fails_is_reported(clock: Clock) -> None:
    """Fails when what comes first in the alphabet hides the others."""
    works = {"deleting": Work(), "scanning": Work(), "trimming": Work()}
    async with AsyncExitStack() as stack:
        for name, work in works.items():
            work.error = Unavailable(f"{name} cannot be done")
            await stack.enter_async_context(periodically(name, work, 0.001))
            await work.more()
        clock.now += FAILING_SECONDS
        with pytest.raises(Degraded) as told:
            await ping_background()
        assert str(told.value).count("; ") == len(works) - 1
        assert all(f"{name} cannot be done" in str(told.value) for name in works)


async def test_what_hangs_is_reported(clock: Clock) -> None:
    work = Work()
    work.hangs = True
    async with periodically("measuring", work, 0.001):
        await work.more(1)
        await ping_background()
        clock.now += HANGING_SECONDS
        with pytest.raises(Degraded, match="measuring has not come to an end for 300 s"):
            await ping_background()
    await ping_background()


async def test_what_goes_on_without_end_is_begun_anew(clock: Clock) -> None:
    work = Work()
    async with for_ever("reading", work, 0.001):
        work.error = RuntimeError("odd")
        await work.more()
        clock.now += FAILING_SECONDS
        with pytest.raises(Degraded, match="reading has failed"):
            await ping_background()
        work.hangs = True
        await work.more(1)
        clock.now += FAILING_SECONDS
        await ping_background()  # it has been reading for a while


class Ending(BaseException):
    """What no handler of an `Exception` catches."""


async def test_what_has_ended_is_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever ended it: nothing in this process begins it again."""
    work = Work()
    work.error = Ending()
    async with periodically("serving the group", work, 0.001):
        await work.more(1)
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="serving the group has ended: restart"):
            await ping_background()
    await ping_background()
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]


async def test_a_ping_that_has_a_defect_is_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    """Fails when `/health/ready` itself is answered 500."""

    async def odd() -> None:
        raise KeyError("odd")

    app = FastAPI()
    app.include_router(health_routes({"store": odd}))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/health/ready")
    assert answer.status_code == 503
    part = answer.json()["dependencies"]["store"]
    assert part["status"] == "unavailable"
    assert part["error"] == "an unexpected error, see the log of this process"
    assert caplog.records[-1].exc_info


class Defective:
    """A listener that fails at one key."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.losses = 0

    def announced(self, key: str, decode: Decode) -> None:
        if key == CHATS[0]:
            raise RuntimeError("a defect")
        self.keys.append(key)

    def lost(self) -> None:
        self.losses += 1

    def alive(self, seconds_ago: float = 0.0) -> None: ...


async def test_a_frame_that_cannot_be_handled_does_not_end_the_link(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fails when the whole of a one-machine Chat4All ends with it."""

    async def metrics() -> bytes:
        raise RuntimeError("a defect")

    here, there = link.pair()
    feed, listener = EmbeddedFeed(), Defective()
    feed.listen(listener)
    router = await RouterLink.over(here, feed.republish, lambda: None)
    gateway = await GatewayLink.over(there)
    tasks = [
        asyncio.create_task(router.run()),
        asyncio.create_task(gateway.run(lambda: None, metrics)),
    ]
    with caplog.at_level(logging.CRITICAL):
        gateway._frames.send(Kind.STATUS, b"\xff")
        gateway._frames.send(Kind.EVENTS, b"\xff")
        await gateway.announce([*(MessageStored(message(1, chat)) for chat in CHATS[:2])])
        await until(lambda: listener.keys == [CHATS[1]])
        assert listener.losses == 1
        async with asyncio.timeout(10):
            assert await router.metrics() == b""
    assert not any(task.done() for task in tasks)
    router.close()
    gateway.close()
    await asyncio.gather(*tasks)


async def test_the_embedded_log_goes_on_after_any_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when the task that commits dies, and what waits behind it hears nothing in time."""
    log = EmbeddedLog(tmp_path / "log.db", deadline=60.0)
    await log.open()
    told: list[object] = []

    def watcher() -> None:
        told.append(None)
        raise RuntimeError("a defect")

    log.watch(watcher)
    write_one = log._database.write_one
    errors: list[Exception] = [RuntimeError("a defect"), sqlite3.InterfaceError("odd")]

    async def failing(*given: Any) -> int:
        if errors:
            raise errors.pop()
        return await write_one(*given)

    monkeypatch.setattr(log._database, "write_one", failing)
    async with asyncio.timeout(10):
        for _ in range(2):
            with pytest.raises(OutcomeUnknown, match="an unexpected error"):
                await log.append(CHATS[0], b"a record")
        for _ in range(2):
            await log.append(CHATS[0], b"a record")
        await log.close()
    assert len(told) == 2


async def test_the_thread_of_kafkas_reports_survives_any_error() -> None:
    """Without it no record would ever be acknowledged again, and `ping` would see nothing."""
    producer = KafkaProducer("127.0.0.1:9")
    polls = 0

    class Library:
        def poll(self, _: float) -> None:
            nonlocal polls
            polls += 1
            raise RuntimeError("of a callback")

    producer._config = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}
    await producer.open()
    producer._producer = Library()  # type: ignore[assignment]
    await until(lambda: polls > 2)
    assert producer._thread.is_alive()
    await producer.close()
    with pytest.raises(Unavailable, match="restart this process"):
        await producer.ping("t")
