"""Messages: what a sender gives, what the store keeps, what a reader sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chat4all.domain.ids import BEFORE_ALL, ConversationId, LogPosition, MessageId, Username

CONTENT_MAX = 10_000
"""Characters in one message's content."""


class Status(StrEnum):
    """How far a message has come."""

    SENT = "SENT"  # the log has it
    DELIVERED = "DELIVERED"  # the store has it
    READ = "READ"  # every other member's marker has passed it


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """What a client asks to send; `message_id` is the client's own, for safe retries."""

    conversation_id: ConversationId
    content: str
    message_id: MessageId | None = None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A numbered message as the store keeps it.

    `created_at` is RFC 3339 in UTC with milliseconds and `Z`; `position` is that of the record
    which created the message, and never changes.
    """

    conversation_id: ConversationId
    seq: int
    message_id: MessageId
    sender_id: Username
    content: str
    created_at: str
    position: LogPosition


@dataclass(frozen=True, slots=True)
class Head:
    """The newest number of a conversation and the position of the record that got it."""

    seq: int
    position: LogPosition


NO_HEAD = Head(0, BEFORE_ALL)
"""The head of a conversation without messages: every record is above it."""


@dataclass(frozen=True, slots=True)
class Marker:
    """How far one member has come in one conversation. Markers only grow."""

    conversation_id: ConversationId
    username: Username
    delivered_seq: int
    read_seq: int


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive messages, oldest first, and what is needed to show them.

    `head` is the conversation's newest visible number; `read` has each reader's `read_seq`,
    at most the head (a marker may be ahead of what this reader can see).
    """

    messages: Sequence[StoredMessage]
    head: int
    read: Mapping[Username, int]
