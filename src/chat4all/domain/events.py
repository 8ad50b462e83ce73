"""Live events: what connected clients get at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Marker, StoredMessage


@dataclass(frozen=True, slots=True)
class MessageStored:
    """A message has its number and can be read."""

    message: StoredMessage


@dataclass(frozen=True, slots=True)
class MarkerMoved:
    """A member has received or read up to another number."""

    marker: Marker


@dataclass(frozen=True, slots=True)
class MessageChanged:
    """The message `seq` was edited, deleted or reacted to, by the change of this number.

    Its state is in the store: a router writes reactions without knowing the others.
    """

    conversation_id: ConversationId
    seq: int
    change: int


@dataclass(frozen=True, slots=True)
class Typing:
    """A member is typing. It is stored nowhere, and may be lost."""

    conversation_id: ConversationId
    username: Username


@dataclass(frozen=True, slots=True)
class PresenceAsked:
    """A gateway has clients that watch these users: whoever has them is to say so.

    `is_new`: it does not know yet who of them is online, and waits for an answer.
    """

    gateway: str
    usernames: Sequence[Username]
    is_new: bool


@dataclass(frozen=True, slots=True)
class PresenceSeen:
    """How many milliseconds ago each of these users last had a connection to a gateway; 0: now."""

    gateway: str
    seen_ms: Mapping[Username, int]


@dataclass(frozen=True, slots=True)
class MembershipsChanged:
    """A user was added to a conversation, or removed from one.

    A hint to ask the directory again, never the answer: it may come late (EXACTNESS 20f).
    """

    username: Username


USER = "user:"
"""What the key of `MembershipsChanged` has before its user: it reaches gateways of that user."""

TYPING = "typing:"
"""What the key of `Typing` has before its conversation: such an event ends no cached page."""

DELIVERED = "delivered:"
"""What the key of `MarkerMoved` has before its conversation where it was received and not read: it
changes no page either."""

PRESENCE = "presence:"
"""What the keys of all events about presence begin with; the gateway that tells it follows."""

PRESENCE_SEEN = PRESENCE + "seen:"

LiveEvent: TypeAlias = (
    MessageStored
    | MarkerMoved
    | MessageChanged
    | Typing
    | PresenceAsked
    | PresenceSeen
    | MembershipsChanged
)


def key_of(event: LiveEvent) -> str:
    """Return the key that an event is announced under: its conversation, if that has changed."""
    key: str
    match event:
        case MessageStored(message):
            key = message.conversation_id
        case MarkerMoved(marker):
            key = marker.conversation_id if marker.read_seq else DELIVERED + marker.conversation_id
        case MessageChanged(conversation_id=conversation):
            key = conversation
        case Typing(conversation_id=conversation):
            key = TYPING + conversation
        case PresenceAsked(gateway=gateway):
            key = PRESENCE + gateway
        case PresenceSeen(gateway=gateway):
            key = PRESENCE_SEEN + gateway
        case MembershipsChanged(username):
            key = USER + username
        case _:
            assert_never(event)
    return key


def by_key(events: Sequence[LiveEvent]) -> dict[str, list[LiveEvent]]:
    """Return the events by their keys, those of a key in order."""
    grouped: dict[str, list[LiveEvent]] = {}
    for event in events:
        grouped.setdefault(key_of(event), []).append(event)
    return grouped
