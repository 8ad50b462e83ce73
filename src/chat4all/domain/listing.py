"""A user's conversations as a list shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Status, StoredMessage
from chat4all.domain.people import ConversationType, Role
from chat4all.domain.position import Position

LISTED_MEMBERS_MAX = 100
"""So that a list costs the same whatever groups are in it."""


class JoinedConversation(NamedTuple):
    """One of a user's memberships; `joined_at` is empty where that is not known."""

    conversation_id: ConversationId
    role: Role
    joined_at: str


@dataclass(frozen=True, slots=True)
class Detail:
    """What lists show of a conversation.

    `members` are at most `LISTED_MEMBERS_MAX`, by name; `count` is how many there are. `peer` is
    the other one of a private conversation, by their alias if they were erased.
    """

    type: ConversationType
    title: str | None
    created_at: str
    metadata: Mapping[str, str]
    members: Mapping[Username, Role]
    count: int
    peer: Username | None


@dataclass(frozen=True, slots=True)
class Listed:
    """One conversation of a list. `last` has its sender's public name.

    `unread_mentions` are the numbers of unread messages that mention the user, lowest first.
    """

    conversation_id: ConversationId
    detail: Detail
    role: Role
    head: int
    unread: int
    last: tuple[StoredMessage, Status] | None
    change: int = 0
    unread_mentions: Sequence[int] = ()

    @property
    def position(self) -> Position:
        """How far a client that has received this has seen the conversation."""
        return Position(self.head, self.change)
