"""The durable, ordered log of everything that was accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Epoch, Headers, LogRecord

FEW_MAX = 4
"""After a poll of so few records neither a consumer nor a router waits for more: so rarely do they
come that none would gather, and each would only be later."""


class MessageLog(Protocol):
    """The log, for those who append to it."""

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        """Append one record and return its position once it is durable.

        Raises `OutcomeUnknown` when the log did not acknowledge in time (the record may still
        land), `Overloaded` when nothing was sent, `NotAccepted` when it will never take it.
        """
        ...

    def makes_fresh_ids(self) -> bool:
        """Say whether an id that is made now may pass as fresh (EXACTNESS 6).

        Not while this machine's clock is ahead of the log's.
        """
        ...


class PartitionedLog(MessageLog, Protocol):
    """A log of several partitions, each ordered by itself."""

    def partition_of(self, conversation: ConversationId) -> int:
        """Return the partition to which all records of a conversation belong."""
        ...


@dataclass(frozen=True, slots=True)
class Poll:
    """Records in log order and, by partition, the number of the assignment that they came under.

    A partition's number changes whenever another router may have had it in between: what was
    cached under another number must be dropped. `stopped` has the partitions of which nothing is
    handed out, though they are assigned, each with the cause.
    """

    records: Sequence[LogRecord]
    assignments: Mapping[int, int]
    stopped: Mapping[int, str] = field(default_factory=dict)


class LogConsumer(Protocol):
    """The router's side of the log."""

    async def poll(self, limit: int) -> Poll:
        """Wait for the records after the last poll's, at most `limit`; may return none."""
        ...

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Have everything up to and including these positions committed, one per partition.

        It may be confirmed later: the next batch does not wait for it (EXACTNESS 12b).
        """
        ...

    def stop(self, partition: int, cause: str) -> None:
        """Hand out nothing more of a partition for as long as it stays assigned (EXACTNESS 1)."""
        ...


class Epochs(Protocol):
    """Which topic each epoch of the log is (EXACTNESS 10): written once, never changed."""

    async def newest(self) -> Epoch | None:
        """Return the newest epoch; None before the log was created."""
        ...

    async def add(self, epoch: Epoch) -> Epoch:
        """Write an epoch unless its number is taken; return the one that has the number."""
        ...
