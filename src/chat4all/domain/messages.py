"""Messages, their statuses, and how far members have received and read them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from heapq import nsmallest
from typing import Any, NamedTuple

from chat4all.domain.changes import ReactionCount, renamed
from chat4all.domain.ids import BEFORE_ALL, ConversationId, LogPosition, MessageId, Username
from chat4all.domain.kinds import FILE_KINDS, PREVIEW_MAX, Kind, Reply

CONTENT_MAX = 10_000
"""Characters in one message's content."""


class Status(StrEnum):
    """Where a message is on its way."""

    SENT = "SENT"  # the log has it
    DELIVERED = "DELIVERED"  # the store has it
    READ = "READ"  # every other member's marker has passed it


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """What a client asks to send; `message_id` is the client's own, for safe retries.

    Unless `mark_read` is false, sending moves the sender's own markers. `payload` fits the kind.
    """

    conversation_id: ConversationId
    content: str
    message_id: MessageId | None = None
    mark_read: bool = True
    kind: Kind = Kind.TEXT
    payload: Mapping[str, Any] | None = None
    reply_to: MessageId | None = None
    mentions: tuple[Username, ...] = ()

    @property
    def refers(self) -> bool:
        """Whether it names anything that has to be looked up: a message, members, a file."""
        return bool(self.mentions) or self.reply_to is not None or self.kind in FILE_KINDS


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A numbered message as the store keeps it.

    `created_at` is RFC 3339 in UTC with milliseconds and `Z`; `log_position` is that of the
    record which created the message, and never changes. `content` is the text as it is now, empty
    once the message is deleted; nothing is left of its edits, reactions, payload and mentions then.

    `reply_seq` is the number of the message that it answers. `reply_to` is that message: a store
    looks for it when it is read, and it is kept nowhere.
    """

    conversation_id: ConversationId
    seq: int
    message_id: MessageId
    sender_id: Username
    content: str
    created_at: str
    log_position: LogPosition
    edited_at: str | None = None
    deleted_at: str | None = None
    reactions: tuple[ReactionCount, ...] = ()
    kind: Kind = Kind.TEXT
    payload: Mapping[str, Any] | None = None
    reply_seq: int | None = None
    mentions: tuple[Username, ...] = ()
    reply_to: Reply | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is a text and nothing else, as most messages are."""
        return (
            self.kind is Kind.TEXT
            and self.payload is None
            and self.reply_seq is None
            and not self.mentions
        )

    @property
    def names(self) -> frozenset[Username]:
        """The users whom it names: its sender, those who reacted, who is mentioned or answered."""
        names = {self.sender_id, *self.mentions}
        if self.reply_to is not None:
            names.add(self.reply_to.sender_id)
        return frozenset(names.union(*(one.names for one in self.reactions)))

    def under(self, aliases: Mapping[Username, Username]) -> "StoredMessage":
        """Return it with other names in the place of some."""
        if not aliases:
            return self
        return replace(
            self,
            sender_id=aliases.get(self.sender_id, self.sender_id),
            reactions=renamed(self.reactions, aliases),
            mentions=tuple(aliases.get(name, name) for name in self.mentions),
            reply_to=self.reply_to and self.reply_to.under(aliases),
        )

    def as_reply(self) -> Reply:
        """Return what a message that answers this one shows of it."""
        return Reply(
            self.seq,
            self.message_id,
            self.sender_id,
            self.kind,
            self.content[:PREVIEW_MAX],
            self.deleted_at is not None,
        )


def own_or_first(messages: Sequence[StoredMessage], user: Username) -> StoredMessage:
    """Return which of the messages with one id a user means: their own, else the first."""
    return next((m for m in messages if m.sender_id == user), messages[0])


@dataclass(frozen=True, slots=True)
class Head:
    """The newest number of a conversation and the log position of the record that has it.

    `order_ms` is that record's, 0 where unknown.
    """

    seq: int
    log_position: LogPosition
    order_ms: int = field(default=0, compare=False)


NO_HEAD = Head(0, BEFORE_ALL)
"""The head of a conversation without messages: every record is above it."""


@dataclass(frozen=True, slots=True)
class Marker:
    """How far one member has received and read one conversation. Markers only grow.

    Each number has the time of its record, in milliseconds since 1970 by the log's clock; of two
    records with the same number the later one counts. What was read needs no `delivered_seq`: see
    `Receipt.of`.
    """

    conversation_id: ConversationId
    username: Username
    delivered_seq: int
    read_seq: int
    delivered_ms: int = 0
    read_ms: int = 0


class Receipt(NamedTuple):
    """How far one member has received and read, as readers see it; times are None where unknown."""

    delivered_seq: int
    read_seq: int
    delivered_ms: int | None
    read_ms: int | None

    @classmethod
    def of(
        cls, head: int, delivered: int, read: int, delivered_ms: int | None, read_ms: int | None
    ) -> "Receipt":
        """Return what readers see of a stored marker: at most the head.

        What was read was received, then at the latest. Derived here: if reading moved the other
        marker too, it would replace the time at which the same message was received.
        """
        if delivered < read or (delivered == read and (read_ms or 0) < (delivered_ms or 0)):
            delivered, delivered_ms = read, read_ms
        return cls(min(delivered, head), min(read, head), delivered_ms or None, read_ms or None)


class Activity(NamedTuple):
    """The newest numbers of a conversation, and its place among others.

    `order_ms` is when the log took the message, in milliseconds since 1970 by the log's clock.
    """

    seq: int
    order_ms: int
    change: int = 0


class Overview(NamedTuple):
    """A conversation's last message, and how far the readers of the query have read."""

    last: StoredMessage | None
    read: Mapping[Username, int]


@dataclass(frozen=True, slots=True)
class AllRead:
    """How far the members of a conversation have read, as far as statuses depend on it.

    Everybody has read up to `everybody`, and all but `slowest` up to `others`. The two are enough:
    for any sender, the minimum of the other members' numbers is one of them (EXACTNESS 14).
    """

    everybody: int
    slowest: Username | None
    others: int

    @classmethod
    def by(cls, members: Collection[Username], read: Mapping[Username, int]) -> "AllRead":
        """Return how far `members` have read; a member without a `read_seq` has read nothing."""
        nobody: list[tuple[int, Username | None]] = [(0, None)] * 2
        least = nsmallest(2, ((read.get(name, 0), name) for name in members))
        (everybody, slowest), (others, _) = (*least, *nobody)[:2]
        return cls(everybody, slowest, others)

    def status(self, message: StoredMessage) -> Status:
        """Say whether every member other than its sender has read a message."""
        read = self.others if message.sender_id == self.slowest else self.everybody
        return Status.READ if message.seq <= read else Status.DELIVERED
