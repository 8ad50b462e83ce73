"""Whatever changes a conversation drops what is cached of its members."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from chat4all.adapters.caching import OutboxFollower, cached_members
from chat4all.adapters.interposing import interposed
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Role
from chat4all.gateway.live.membership import PresentMembers
from chat4all.ports.directory import MEMBERS_ASKED_MAX, Conversations, Directory, Members
from chat4all.ports.outbox import OutboxPage
from tests.contract.test_directory import ANA, BRUNO, group

pytestmark = pytest.mark.anyio

CHAT = group(ANA, BRUNO)

READS = {"members", "conversation"}
"""A method that is added to a port changes something, unless it is added here."""

CHANGES = {
    name
    for port in (Members, Conversations)
    for name, value in vars(port).items()
    if callable(value) and not name.startswith("_")
} - READS


class SilentOutbox:
    async def after(self, position: int | None) -> OutboxPage:
        return OutboxPage(position or 0, [], complete=True)


class CountingDirectory:
    """Counts how often it is asked for members; every other method does nothing."""

    def __init__(self) -> None:
        self.asked = 0

    async def members(self, _: ConversationId) -> dict[Username, Role]:
        self.asked += 1
        return {}

    def __getattr__(self, name: str) -> Any:
        async def nothing(*_: Any) -> None:
            if name not in CHANGES | READS:
                raise AssertionError(name)

        return nothing


def test_the_ports_are_looked_at() -> None:
    assert {"add_conversation", "add_member", "delete_conversation"} <= CHANGES


@pytest.mark.parametrize("change", sorted(CHANGES))
async def test_every_change_drops_the_members(change: str) -> None:
    beneath = CountingDirectory()
    follower = OutboxFollower(SilentOutbox())
    await follower.poll()
    directory: Any = cached_members(as_directory(beneath), follower)
    for _ in range(2):
        await directory.members(CHAT.conversation_id)
    assert beneath.asked == 1
    about = CHAT if change == "add_conversation" else CHAT.conversation_id
    await getattr(directory, change)(about)
    await directory.members(CHAT.conversation_id)
    assert beneath.asked == 2


class SlowDirectory:
    """Is asked for several at once; of `LARGE` it says nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[ConversationId, ...]] = []
        self.inside = {one: {ANA: Role.MEMBER, BRUNO: Role.MEMBER} for one in (ONE, TWO)}
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def members(self, conversation: ConversationId) -> dict[Username, Role]:
        return (await self.members_of([conversation]))[conversation]

    async def members_of(
        self, conversations: Sequence[ConversationId]
    ) -> dict[ConversationId, dict[Username, Role]]:
        self.asked.append(tuple(conversations))
        found = {one: dict(self.inside.get(one, {})) for one in conversations if one != LARGE}
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return found

    async def remove_member(self, conversation: ConversationId, username: Username) -> None:
        del self.inside[conversation][username]

    async def change_role(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return None


ONE, TWO, LARGE = [group(ANA).conversation_id for _ in range(3)]


@pytest.fixture
async def slow() -> tuple[SlowDirectory, Any]:
    beneath, follower = SlowDirectory(), OutboxFollower(SilentOutbox())
    await follower.poll()
    return beneath, cached_members(as_directory(beneath), follower)


async def test_of_several_only_those_are_asked_for_that_are_not_cached(
    slow: tuple[SlowDirectory, Any],
) -> None:
    beneath, directory = slow
    first = await directory.members(ONE)
    for _ in range(2):
        found = await directory.members_of([ONE, TWO, LARGE])
        assert set(found) == {ONE, TWO}
        assert found[ONE] is first
    assert await directory.members(TWO) is found[TWO]
    assert beneath.asked == [(ONE,), (TWO, LARGE), (LARGE,)]
    await directory.remove_member(TWO, BRUNO)
    assert BRUNO not in (await directory.members_of([ONE, TWO]))[TWO]
    assert beneath.asked[3:] == [(TWO,)]


async def test_of_several_only_what_changes_while_they_are_loaded_is_not_cached(
    slow: tuple[SlowDirectory, Any],
) -> None:
    """Fails where a removed member stays one, and where others' changes are heeded."""
    beneath, directory = slow
    beneath.meanwhile = lambda: directory.remove_member(ONE, BRUNO)
    await directory.members_of([ONE, TWO])
    present = PresentMembers(directory)
    assert BRUNO not in await present.of(ONE)
    assert BRUNO in await present.of(TWO)
    assert beneath.asked == [(ONE, TWO), (ONE,)]


async def test_a_conversation_is_read_once_while_others_change(
    slow: tuple[SlowDirectory, Any],
) -> None:
    beneath, directory = slow

    async def change_another() -> None:
        await directory.change_role(LARGE, ANA, Role.ADMIN)
        beneath.meanwhile = change_another  # with each load

    beneath.meanwhile = change_another
    assert BRUNO in await PresentMembers(directory).of(ONE)
    assert beneath.asked == [(ONE,)]


async def test_one_that_was_loaded_alone_meanwhile_stays_the_identical_one(
    slow: tuple[SlowDirectory, Any],
) -> None:
    beneath, directory = slow
    alone: list[Any] = []

    async def load_one() -> None:
        alone.append(await directory.members(ONE))

    beneath.meanwhile = load_one
    found = await directory.members_of([ONE, TWO])
    assert found[ONE] is alone[0]
    assert await directory.members(ONE) is alone[0]
    assert len(beneath.asked) == 2


async def test_several_are_not_answered_while_changes_cannot_be_followed() -> None:
    beneath = SlowDirectory()
    directory: Any = cached_members(as_directory(beneath), OutboxFollower(SilentOutbox()))
    with pytest.raises(Unavailable):
        await directory.members_of([ONE])
    assert beneath.asked == []


async def test_what_is_prepared_is_asked_for_in_parts(slow: tuple[SlowDirectory, Any]) -> None:
    beneath, directory = slow
    chats = [group(ANA).conversation_id for _ in range(MEMBERS_ASKED_MAX + 1)]
    present = PresentMembers(directory)
    await present.prepare(chats)
    for chat in chats:
        await present.of(chat)
    assert [len(some) for some in beneath.asked] == [MEMBERS_ASKED_MAX, 1]


def as_directory(fake: Any) -> Directory:
    directory: Directory = fake
    return directory


def test_a_misspelt_method_is_refused() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        interposed(SilentOutbox(), {"nothing_like_it": lambda call: call})
