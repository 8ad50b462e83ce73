"""What the router needs of the store: numbered messages and changes, by number, id and position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from chat4all.domain.changes import ChangeHead, NumberedChange
from chat4all.domain.ids import ChangeId, ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import Head, Marker, StoredMessage


class IdKey(NamedTuple):
    """What identifies a message: its id belongs to its sender, within one conversation."""

    conversation_id: ConversationId
    message_id: MessageId
    sender_id: Username


class IdEntry(NamedTuple):
    """Where an id was first used."""

    seq: int
    log_position: LogPosition


class NumberedRow(NamedTuple):
    """The row that a record created, as far as it can be read.

    Id and sender are None where only some replicas have the row and a read repaired no more than
    the columns that it selected. Such a row must be written again (EXACTNESS 4).
    """

    seq: int
    message_id: MessageId | None
    sender_id: Username | None


class ChangeKey(NamedTuple):
    """What identifies a change: its id belongs to its author, within one conversation.

    The ids of messages are apart: a change may have its message's.
    """

    conversation_id: ConversationId
    change_id: ChangeId
    author: Username


class ChangeEntry(NamedTuple):
    """Where the id of a change was first used."""

    change: int
    log_position: LogPosition


class ChangeRow(NamedTuple):
    """The row that a change's record created, as far as it can be read; see `NumberedRow`."""

    change: int
    change_id: ChangeId | None
    author: Username | None


class TargetKey(NamedTuple):
    """Which message a change is about."""

    conversation_id: ConversationId
    seq: int


class Target(NamedTuple):
    """A message that a change is about; `sender_id` is None where it cannot be read."""

    log_position: LogPosition
    sender_id: Username | None
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class StoreBatch:
    """Everything that is written for one poll of the log, in log order.

    The adapter writes messages, then ids, then changes, then their ids, then markers, then heads,
    each stage durable before the next one starts, or all of it atomically. A change is a row of
    its own, and what it does to its message. The two numbers of a head are written apart, that of
    the messages no later (EXACTNESS 25). `through` has the last position that the batch covers
    in each partition: a store that shares a transaction with the log's offset keeps it there.
    """

    through: Sequence[LogPosition]
    messages: Sequence[StoredMessage] = ()
    ids: Mapping[IdKey, IdEntry] = field(default_factory=dict)
    markers: Sequence[Marker] = ()
    heads: Mapping[ConversationId, Head] = field(default_factory=dict)
    changes: Sequence[NumberedChange] = ()
    change_ids: Mapping[ChangeKey, ChangeEntry] = field(default_factory=dict)
    change_heads: Mapping[ConversationId, ChangeHead] = field(default_factory=dict)


class SequencedStore(Protocol):
    """Where numbered messages are written, and what was written for earlier records."""

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        """Return each conversation's last *written* message, even if its head was not written.

        Conversations without messages are left out.
        """
        ...

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        """Return where these ids were first used; unknown ones are left out."""
        ...

    async def at_positions(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, NumberedRow]:
        """Return the rows that these records created; others are left out. For replays."""
        ...

    async def write(self, batch: StoreBatch) -> None:
        """Make the batch durable; writing the same batch again changes nothing.

        Writing an older state over a newer one changes nothing either.
        """
        ...


class SequencedChanges(Protocol):
    """What was written for the records of earlier changes, and the messages that they change."""

    async def change_heads(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, ChangeHead]:
        """Return each conversation's last *written* change; those without changes are left out."""
        ...

    async def find_change_ids(self, keys: Sequence[ChangeKey]) -> Mapping[ChangeKey, ChangeEntry]:
        """Return where these ids were first used; unknown ones are left out."""
        ...

    async def changes_at(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, ChangeRow]:
        """Return the rows that these records created; others are left out. For replays."""
        ...

    async def targets(self, keys: Sequence[TargetKey]) -> Mapping[TargetKey, Target]:
        """Return the messages that have these numbers, whether readers see them yet or not."""
        ...


class RoutedStore(SequencedStore, SequencedChanges, Protocol):
    """All that a router asks of the store, where one adapter answers it."""
