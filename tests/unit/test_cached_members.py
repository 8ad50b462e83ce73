"""Whatever changes a conversation drops what is cached of its members."""

from typing import Any

import pytest

from chat4all.adapters.caching import OutboxFollower, cached_members
from chat4all.adapters.interposing import interposed
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Role
from chat4all.ports.directory import Conversations, Directory, Members
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


def as_directory(fake: Any) -> Directory:
    directory: Directory = fake
    return directory


def test_a_misspelt_method_is_refused() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        interposed(SilentOutbox(), {"nothing_like_it": lambda call: call})
