"""What the router needs of the store: numbered messages, by number, id and log position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from chat4all.domain.ids import ConversationId, LogPosition, MessageId, Username
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


@dataclass(frozen=True, slots=True)
class StoreBatch:
    """Everything that is written for one poll of the log, in log order.

    The adapter writes messages, then ids, then markers, then heads, each stage durable before the
    next one starts, or all of it atomically. `through` has the last position that the batch covers
    in each partition: a store that shares a transaction with the log's offset keeps it there.
    """

    through: Sequence[LogPosition]
    messages: Sequence[StoredMessage] = ()
    ids: Mapping[IdKey, IdEntry] = field(default_factory=dict)
    markers: Sequence[Marker] = ()
    heads: Mapping[ConversationId, Head] = field(default_factory=dict)


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
