"""A cache of conversations' members: the identical mapping until it changes."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from chat4all.adapters.caching.cache import Cache
from chat4all.adapters.caching.following import OutboxFollower
from chat4all.adapters.interposing import Call, ending_with, interposed
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation, Role
from chat4all.ports.directory import Directory
from chat4all.ports.outbox import Subject

D = TypeVar("D", bound=Directory)

_CHANGES = (
    "add_member",
    "change_role",
    "remove_member",
    "change_conversation",
    "delete_conversation",
)


def cached_members(directory: D, follower: OutboxFollower) -> D:
    """Return the directory, with `members` and `members_of` answered from one cache."""
    cache = Cache[ConversationId, Mapping[Username, Role]](
        directory.members, Subject.MEMBERS, follower
    )

    def changed(conversation: ConversationId, *_: Any, **__: Any) -> None:
        cache.drop(conversation)

    def created(conversation: Conversation, *_: Any, **__: Any) -> None:
        cache.drop(conversation.conversation_id)

    def of_each(load: Call) -> Call:
        async def members_of(
            conversations: Sequence[ConversationId],
        ) -> Mapping[ConversationId, Mapping[Username, Role]]:
            return await cache.get_each(conversations, load)

        return members_of

    return interposed(
        directory,
        {
            "members": lambda _: cache.get,
            "members_of": of_each,
            "add_conversation": ending_with(created),
            **dict.fromkeys(_CHANGES, ending_with(changed)),
        },
    )
