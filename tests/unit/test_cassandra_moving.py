"""A node that comes back under another address, without a node."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from acsylla.errors import (
    CassErrorLibNoHostsAvailable,
    CassErrorServerInvalidQuery,
    CassErrorServerOverloaded,
)

from chat4all.adapters.cassandra import CassandraSession, Contact
from chat4all.adapters.cassandra import session as driver
from chat4all.adapters.cassandra.session import ANEW_SECONDS
from chat4all.domain.errors import Unavailable

pytestmark = pytest.mark.anyio

READ = "SELECT seq FROM conversation_heads"
NOBODY = CassErrorLibNoHostsAvailable("nobody answers")


class Prepared:
    """A statement, bound or not, of one session of the driver."""

    def __init__(self, of: "Driver") -> None:
        self.of = of

    def bind(self) -> "Prepared":
        return self

    def bind_list(self, values: Sequence[object]) -> None: ...

    def set_timeout(self, seconds: float) -> None: ...


class Driver:
    """A session of the driver, connected to one address for as long as it lives."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.hangs = False
        self.is_closed = False

    async def create_prepared(self, statement: str) -> Prepared:
        if self.error is not None:
            raise self.error
        return Prepared(self)

    async def execute(self, statement: Prepared) -> SimpleNamespace:
        assert statement.of is self, "prepared in another session"
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return SimpleNamespace(all=list)

    async def close(self) -> None:
        self.is_closed = True


class Names:
    """What the names of the hosts resolve to, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sessions: list[Driver] = []
        self.error: Exception | None = None
        self.asked = 0

    async def connect(self, _: Contact) -> Driver:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.sessions.append(Driver())
        return self.sessions[-1]

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr(driver, "connect", found.connect)
    monkeypatch.setattr(driver, "time", found)
    # So long a session that is given up stays, for the requests that have it.
    monkeypatch.setattr(driver, "REQUEST_SECONDS", 0.5)
    return found


@pytest.fixture
def session() -> CassandraSession:
    return CassandraSession(Contact(["cassandra"], "k"))


@pytest.fixture
def old_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the requests of a session that is replaced less time to end."""
    monkeypatch.setattr(driver, "REQUEST_SECONDS", 2.0)


async def fails(session: CassandraSession) -> None:
    with pytest.raises(Unavailable):
        await session.run(READ)


async def settled(session: CassandraSession) -> None:
    async with asyncio.timeout(10):
        while session._under_way:
            await asyncio.sleep(0.01)


@pytest.mark.thorough
async def test_after_a_while_without_any_answer_the_names_are_resolved_again(
    names: Names, session: CassandraSession, old_ends_soon: None
) -> None:
    """Fails when the driver's session is made once: it knows the old address alone."""
    await session.run(READ)
    (first,) = names.sessions
    first.error = NOBODY
    for _ in range(3):
        await fails(session)
        names.now += ANEW_SECONDS / 3 - 0.01
    await settled(session)
    assert names.sessions == [first]
    names.now += 1
    await fails(session)
    await settled(session)
    assert len(names.sessions) == 2
    assert first.is_closed
    await session.run(READ)
    await session.close()
    assert names.sessions[1].is_closed


async def test_an_end_does_not_wait_for_requests_of_a_session_that_was_given_up(
    names: Names, session: CassandraSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    await session.run(READ)
    names.sessions[0].error = NOBODY
    monkeypatch.setattr(driver, "REQUEST_SECONDS", 600)
    for _ in range(2):
        await fails(session)
        names.now += ANEW_SECONDS
    async with asyncio.timeout(30):
        while len(names.sessions) < 2:
            await asyncio.sleep(0)
        for _ in range(9):
            await asyncio.sleep(0)
        assert not names.sessions[0].is_closed, "requests that have it go on"
        await session.close()
    assert [one.is_closed for one in names.sessions] == [True, True]


async def test_without_a_session_one_is_made_at_a_time(
    names: Names, session: CassandraSession
) -> None:
    names.error = NOBODY
    for number in range(1, 5):
        await fails(session)
        await settled(session)
        assert names.asked == number
        names.now += ANEW_SECONDS


async def test_an_end_closes_a_session_that_is_being_made(
    names: Names, session: CassandraSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    may, asked = asyncio.Event(), asyncio.Event()

    async def slow(contact: Contact) -> Driver:
        asked.set()
        await may.wait()
        return await names.connect(contact)

    monkeypatch.setattr(driver, "connect", slow)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await session.run(READ)
    await asked.wait()
    closing = asyncio.create_task(session.close())
    await asyncio.sleep(0)
    may.set()
    await closing
    assert [one.is_closed for one in names.sessions] == [True]


@pytest.mark.thorough
async def test_pings_that_are_given_up_count_too(
    names: Names, session: CassandraSession, old_ends_soon: None
) -> None:
    """A health check waits for 2 s: the driver's own time-out, after 5 s, is never seen."""
    await session.run(READ)
    (first,) = names.sessions
    first.hangs = True
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await session.run(READ)
        names.now += ANEW_SECONDS / 2
    await settled(session)
    assert len(names.sessions) == 2
    await session.run(READ)


async def test_a_node_that_comes_back_as_it_was_keeps_its_session(
    names: Names, session: CassandraSession
) -> None:
    """Fails when the old session is given up before another one is there."""
    await session.run(READ)
    (first,) = names.sessions
    first.error = names.error = NOBODY
    for _ in range(4):
        names.now += ANEW_SECONDS
        await fails(session)
        await settled(session)
    first.error = None
    await session.run(READ)
    names.error = None
    for _ in range(4):
        names.now += ANEW_SECONDS
        await session.run(READ)
    await settled(session)
    assert names.sessions == [first]
    assert not first.is_closed


async def test_a_node_that_answers_with_errors_is_where_it_was(
    names: Names, session: CassandraSession
) -> None:
    await session.run(READ)
    for error in (CassErrorServerOverloaded("too much"), CassErrorServerInvalidQuery("no table")):
        names.sessions[0].error = error
        for number in range(4):
            names.now += ANEW_SECONDS
            await fails(session)
            with pytest.raises(Unavailable):
                await session.run(f"SELECT seq FROM t{number}")
    await settled(session)
    assert len(names.sessions) == 1


async def test_statements_that_cannot_be_prepared_count_too(
    names: Names, session: CassandraSession
) -> None:
    await session.run(READ)
    names.sessions[0].error = NOBODY
    for number in range(3):
        with pytest.raises(Unavailable):
            await session.run(f"SELECT seq FROM t{number}")
        names.now += ANEW_SECONDS / 2
    await settled(session)
    assert len(names.sessions) == 2
