"""The hub of a gateway: the live feed's effect on cached pages, and followers."""

from collections.abc import Sequence
from functools import partial

import msgspec
import pytest

from chat4all.adapters.embedded import EmbeddedFeed
from chat4all.domain.errors import Overloaded
from chat4all.domain.events import LiveEvent
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Role
from chat4all.gateway.live.hub import Hub
from chat4all.usecases.versions import ConversationVersions
from chat4all.wire.events import decode_events
from tests.clocks import Clock
from tests.contract.test_live_feed import event
from tests.records import CHATS

pytestmark = pytest.mark.anyio

MEMBERS = {Username("ana"): Role.OWNER}
SILENCE = 6.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def versions(clock: Clock) -> ConversationVersions:
    return ConversationVersions(SILENCE, clock=clock)


def never() -> Sequence[LiveEvent]:
    raise AssertionError("decoded though nobody follows")


async def test_an_announcement_supersedes_its_conversation_and_no_other(
    versions: ConversationVersions,
) -> None:
    hub = Hub(versions)
    hub.alive()
    one, other = (versions.current(chat, MEMBERS) for chat in CHATS[:2])
    hub.announced(CHATS[0], never)
    assert not versions.is_current(CHATS[0], one)
    assert one.members is None
    assert versions.is_current(CHATS[1], other)
    hub.lost()
    assert not versions.is_current(CHATS[1], other)


async def test_nothing_is_current_before_the_feed_was_heard_or_once_it_is_silent(
    versions: ConversationVersions, clock: Clock
) -> None:
    hub = Hub(versions)
    before = versions.current(CHATS[0], MEMBERS)
    assert not versions.is_current(CHATS[0], before)
    hub.alive()
    assert not versions.is_current(CHATS[0], before)
    version = versions.current(CHATS[0], MEMBERS)
    clock.now += SILENCE - 0.1
    assert versions.is_current(CHATS[0], version)
    clock.now += 0.1
    assert not versions.is_current(CHATS[0], version)


async def test_what_was_current_before_a_silence_is_not_after_it(
    versions: ConversationVersions, clock: Clock
) -> None:
    """Fails when a feed that comes back makes old pages good again: its backlog is not read yet."""
    hub = Hub(versions)
    hub.alive()
    version = versions.current(CHATS[0], MEMBERS)
    clock.now += SILENCE - 1
    hub.alive()
    assert versions.is_current(CHATS[0], version)
    clock.now += SILENCE
    hub.alive()
    assert not versions.is_current(CHATS[0], version)
    assert versions.is_current(CHATS[0], versions.current(CHATS[0], MEMBERS))


# As a release before this one announced, and what is no announcement at all.
UNREADABLE = [
    msgspec.json.encode([{"key": CHATS[0], "message": None, "marker": None}]),
    b'[{"type": "of a later release"}]',
    b'[{"key": "\xff"}]',
    b"[" * 100_000,
    b"",
]


@pytest.mark.parametrize("raw", UNREADABLE, ids=["old", "unknown", "bytes", "deep", "empty"])
async def test_followers_are_told_of_an_announcement_that_cannot_be_read(
    versions: ConversationVersions, raw: bytes
) -> None:
    hub = Hub(versions)
    hub.announced(CHATS[0], partial(decode_events, raw))  # nobody follows: it is not looked at
    async with hub.follow() as follower:
        hub.announced(CHATS[0], lambda: [event(1)])
        hub.announced(CHATS[0], partial(decode_events, raw))
        hub.announced(CHATS[0], lambda: [event(2)])
        assert list(await follower.next()) == [event(1)]
        with pytest.raises(Overloaded):
            await follower.next()
    async with hub.follow() as follower:
        hub.announced(CHATS[0], lambda: [event(3)])
        assert list(await follower.next()) == [event(3)]


async def test_a_feed_inside_one_process_is_heard_from_the_beginning() -> None:
    versions = ConversationVersions(float("inf"))
    feed = EmbeddedFeed()
    feed.listen(Hub(versions))
    chat = ConversationId("a chat")
    version = versions.current(chat, MEMBERS)
    assert versions.is_current(chat, version)
    await feed.announce([event(1)])
    assert versions.is_heard()
