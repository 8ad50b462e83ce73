"""The hub of a gateway: the live feed's effect on cached pages. Delivery is in `tests/live`."""

from collections.abc import Sequence

import pytest

from chat4all.adapters.embedded import EmbeddedFeed
from chat4all.domain.events import LiveEvent
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Role
from chat4all.usecases.versions import ConversationVersions
from tests.clocks import Clock
from tests.contract.test_live_feed import event
from tests.feeds import a_hub
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
    hub = a_hub(versions)
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
    hub = a_hub(versions)
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
    hub = a_hub(versions)
    hub.alive()
    version = versions.current(CHATS[0], MEMBERS)
    clock.now += SILENCE - 1
    hub.alive()
    assert versions.is_current(CHATS[0], version)
    clock.now += SILENCE
    hub.alive()
    assert not versions.is_current(CHATS[0], version)
    assert versions.is_current(CHATS[0], versions.current(CHATS[0], MEMBERS))


async def test_a_feed_inside_one_process_is_heard_from_the_beginning() -> None:
    versions = ConversationVersions(float("inf"))
    feed = EmbeddedFeed()
    feed.listen(a_hub(versions))
    chat = ConversationId("a chat")
    version = versions.current(chat, MEMBERS)
    assert versions.is_current(chat, version)
    await feed.announce([event(1)])
    assert versions.is_heard()
