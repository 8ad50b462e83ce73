"""A cache of conversations' members: the identical mapping until it changes."""

from collections.abc import Mapping
from typing import Any, TypeVar

from chat4all.adapters.caching.cache import Cache
from chat4all.adapters.caching.following import OutboxFollower
from chat4all.adapters.interposing import ending_with, interposed
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
    """Return the directory, with `members` answered from a cache."""
    cache = Cache[ConversationId, Mapping[Username, Role]](
        directory.members, Subject.MEMBERS, follower
    )

    def changed(conversation: ConversationId, *_: Any, **__: Any) -> None:
        cache.drop(conversation)

    def created(conversation: Conversation, *_: Any, **__: Any) -> None:
        cache.drop(conversation.conversation_id)

    return interposed(
        directory,
        {
            "members": lambda _: cache.get,
            "add_conversation": ending_with(created),
            **dict.fromkeys(_CHANGES, ending_with(changed)),
        },
    )
