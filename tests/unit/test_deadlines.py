"""Who waits behind a part that hangs is told within its own deadline (EXACTNESS 12a)."""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import bcrypt
import pytest
from acsylla.errors import CassErrorLibRequestTimedOut

from chat4all.adapters.cassandra import CassandraSession, CassandraStore, Contact
from chat4all.adapters.cassandra import session as driver
from chat4all.adapters.cassandra.session import IN_FLIGHT_MAX, REQUEST_SECONDS
from chat4all.adapters.crypto import BcryptPasswords, passwords
from chat4all.concurrency import waiting
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import Overloaded, Unavailable
from chat4all.domain.messages import AllRead
from tests.clocks import FastLoop
from tests.records import CHATS

READERS = 5_000


class Hung:
    """A session of the driver whose node is paused: each request times out after its own time."""

    def __init__(self) -> None:
        self.asked = 0

    async def create_prepared(self, statement: str) -> "Hung":
        return self

    def bind(self) -> "Asked":
        return Asked()

    async def execute(self, asked: "Asked") -> object:
        self.asked += 1
        await asyncio.sleep(asked.seconds)
        raise CassErrorLibRequestTimedOut("Request timed out")

    async def close(self) -> None: ...


class Asked:
    """A bound statement."""

    seconds = REQUEST_SECONDS

    def bind_list(self, values: Sequence[object]) -> None: ...

    def set_timeout(self, seconds: float) -> None:
        self.seconds = seconds


def run(main: Callable[[FastLoop], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    loop = FastLoop()
    for module in (driver, waiting):
        monkeypatch.setattr(module, "time", loop)
    try:
        loop.run_until_complete(main(loop))
    finally:
        loop.close()


async def timed(loop: FastLoop, work: Awaitable[Any]) -> tuple[float, str]:
    """Return how long work took, and what came of it."""
    began = loop.time()
    try:
        await work
    except Exception as error:
        return loop.time() - began, type(error).__name__
    return loop.time() - began, ""


@pytest.mark.thorough
def test_five_thousand_readers_of_a_hung_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a deadline begins with a slot: the last one is told after 40 of them."""
    hung = Hung()

    async def connect(_: Contact) -> Hung:
        return hung

    monkeypatch.setattr(driver, "connect", connect)

    async def main(loop: FastLoop) -> None:
        store = CassandraStore(CassandraSession(Contact(["cassandra"], "k")))

        async def read(number: int) -> tuple[float, str]:
            await asyncio.sleep(number % 10 * 0.5)  # some come later than others
            return await timed(loop, store.page(CHATS[0], AllRead(0, None, 0), limit=50))

        results = await asyncio.gather(*map(read, range(READERS)))
        assert max(seconds for seconds, _ in results) <= REQUEST_SECONDS + 0.001
        assert Counter(what for _, what in results) == {"Unavailable": READERS}

    run(main, monkeypatch)


def test_one_more_than_may_wait_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = Hung()

    async def connect(_: Contact) -> Hung:
        return hung

    monkeypatch.setattr(driver, "connect", connect)

    async def main(loop: FastLoop) -> None:
        session = CassandraSession(Contact(["cassandra"], "k"))
        await timed(loop, session.run("SELECT 1 FROM t"))
        monkeypatch.setattr(session._waiting, "limit", 500)
        asked = [timed(loop, session.run("SELECT 1 FROM t")) for _ in range(509)]
        results = await asyncio.gather(*asked)
        refused = [seconds for seconds, what in results if what == "Overloaded"]
        assert refused == [0.0] * 9
        assert hung.asked == 1 + IN_FLIGHT_MAX

    run(main, monkeypatch)


@pytest.mark.parametrize("slots", [1, 3, None])
def test_a_turn_and_what_is_done_in_it_share_a_deadline(
    slots: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(loop: FastLoop) -> None:
        waiting = BoundedWaiting(100, 5.0, "calls", slots=slots)

        async def work() -> None:
            async with waiting.turn() as seconds, asyncio.timeout(seconds):
                await asyncio.sleep(60)

        results = await asyncio.gather(*(timed(loop, work()) for _ in range(100)))
        assert {what for _, what in results} == {"TimeoutError"}
        assert max(seconds for seconds, _ in results) <= 5.001

    run(main, monkeypatch)


@pytest.mark.anyio
async def test_passwords_that_wait_behind_slow_ones_are_told_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when a sign-in waits for ever, and is hashed after its client has gone."""
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.05)
    is_over, hashed = threading.Event(), 0

    def hang(*_: object) -> bytes:
        nonlocal hashed
        hashed += 1
        assert is_over.wait(20)
        return b""

    monkeypatch.setattr(bcrypt, "hashpw", hang)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # one thread for hashes
    hasher = BcryptPasswords(rounds=4)
    asked = [hasher.hash("long enough") for _ in range(10)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(result) for result in results} == {Overloaded}
    is_over.set()
    hasher.close()
    assert hashed == 1
    assert issubclass(Overloaded, Unavailable)
