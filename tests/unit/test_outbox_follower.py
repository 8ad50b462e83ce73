"""Cached values may only be used while the outbox is followed."""

import asyncio
import logging
from typing import Any

import pytest

from chat4all.adapters.caching import OutboxFollower, cached_members, cached_sessions
from chat4all.adapters.caching import following as following_module
from chat4all.domain.errors import (
    Unavailable,
)
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Role, Session
from chat4all.ports.outbox import OutboxEntry, OutboxPage, Subject
from tests.clocks import Clock
from tests.contract.test_directory import ANA
from tests.contract.test_sessions import session

pytestmark = pytest.mark.anyio

CHAT = ConversationId("550e8400-e29b-41d4-a716-446655440000")


class FakeOutbox:
    """Says what it is told to, after as many seconds as it is told."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.takes = 0.0
        self.pages: list[OutboxPage | Exception] = []
        self.asked: list[int | None] = []

    async def after(self, position: int | None) -> OutboxPage:
        self.asked.append(position)
        self.clock.now += self.takes
        page = self.pages.pop(0)
        if isinstance(page, Exception):
            raise page
        return page


class FakeDirectory:
    """Counts how often it is asked for members."""

    def __init__(self) -> None:
        self.asked = 0

    async def members(self, conversation: ConversationId) -> dict[Username, Role]:
        self.asked += 1
        return {ANA: Role.MEMBER}

    def __getattr__(self, name: str) -> Any:
        return None


Caching = tuple[FakeOutbox, OutboxFollower, FakeDirectory, FakeDirectory]


def page(position: int, *entries: tuple[str, str], complete: bool = True) -> OutboxPage:
    found = [OutboxEntry(entry, Subject.MEMBERS, key) for entry, key in entries]
    return OutboxPage(position, found, complete)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def followed(clock: Clock) -> Caching:
    outbox, asked = FakeOutbox(clock), FakeDirectory()
    following = OutboxFollower(outbox, clock=clock)
    return outbox, following, asked, cached_members(asked, following)


async def test_what_is_cached_is_good_for_5_s_from_when_the_poll_was_asked(
    followed: Caching, clock: Clock
) -> None:
    outbox, following, asked, directory = followed
    outbox.pages = [page(1), page(2), Unavailable("away")]
    with pytest.raises(Unavailable):
        await directory.members(CHAT)
    assert asked.asked == 0
    outbox.takes = 3.0
    await following.poll()  # asked at 100, answered at 103
    assert await directory.members(CHAT) == {ANA: Role.MEMBER}
    clock.now = 104.9
    assert await directory.members(CHAT) == {ANA: Role.MEMBER}
    clock.now = 105.0
    with pytest.raises(Unavailable):
        await directory.members(CHAT)
    outbox.takes = 0.0
    await following.poll()
    assert await directory.members(CHAT) == {ANA: Role.MEMBER}
    assert asked.asked == 1  # all that changed meanwhile is known: what was cached holds again
    clock.now = 109.0
    with pytest.raises(Unavailable):
        await following.poll()
    await directory.members(CHAT)
    clock.now = 110.0
    with pytest.raises(Unavailable):
        await following.ping()
    assert outbox.asked == [None, 1, 2]


async def test_an_entry_is_heeded_once_though_it_comes_often(
    followed: Caching,
) -> None:
    outbox, following, asked, directory = followed
    outbox.pages = [
        page(1),
        page(2, ("a", CHAT)),
        page(3, ("a", CHAT)),
        page(4, ("a", CHAT), ("b", CHAT)),
        page(5, ("other", "another chat")),
        page(6, complete=False),
    ]
    loads = []
    while outbox.pages:
        await following.poll()
        await directory.members(CHAT)
        loads.append(asked.asked)
    assert loads == [1, 2, 2, 3, 3, 4]


async def test_other_subjects_are_not_forgotten(clock: Clock) -> None:
    class OneSession:
        asked = 0
        start = rotate = of_user = end = get_each = None

        async def get(self, wanted: SessionId) -> Session:
            self.asked += 1
            return session(wanted)

    sessions = OneSession()
    outbox = FakeOutbox(clock)
    following = OutboxFollower(outbox, clock=clock)
    cached = cached_sessions(sessions, following)  # type: ignore[arg-type]
    outbox.pages = [
        page(1),
        page(2, ("a", "one")),
        OutboxPage(3, [OutboxEntry("b", Subject.SESSION, "one")], complete=True),
    ]
    for expected in (1, 1, 2):
        await following.poll()
        assert await cached.get(SessionId("one")) == session("one")
        assert sessions.asked == expected


async def test_polls_go_on_whatever_happens(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following_module, "POLL_EVERY_SECONDS", 0.1)
    outbox = FakeOutbox(clock)
    outbox.pages = [Unavailable("away"), Unavailable("away"), RuntimeError("odd"), page(7)]
    following = OutboxFollower(outbox, clock=clock)
    with caplog.at_level(logging.WARNING):
        async with following.running(), asyncio.timeout(10):
            while outbox.pages:
                await asyncio.sleep(0.01)
            await following.ping()
    said = [record.getMessage() for record in caplog.records]
    assert said == ["the outbox cannot be followed"] * 2  # once for being away, once for the odd


async def test_a_poll_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following_module, "POLL_SECONDS", 0.01)

    class Hanging:
        async def after(self, position: int | None) -> OutboxPage:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(Unavailable, match="in time"):
        await OutboxFollower(Hanging()).poll()
