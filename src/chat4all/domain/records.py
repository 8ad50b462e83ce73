"""Records of the log: as the log returns them, and what they contain.

Types that have an instance for every message are tuples: creating one takes a third of the time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from chat4all.domain.ids import ChangeId, ConversationId, LogPosition, MessageId, Username
from chat4all.domain.kinds import Kind


class Epoch(NamedTuple):
    """One topic of the log: it never gains partitions and is never replaced (EXACTNESS 10)."""

    number: int
    topic: str
    topic_id: str
    partitions: int


Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
"""A record's headers, such as W3C's `traceparent`; no part of the record itself."""


class LogRecord(NamedTuple):
    """One record as the log returns it.

    `appended_ms` is the log's own time (milliseconds since 1970) when `log_append_time` is true,
    otherwise the one that the producer claimed. `monotonic_ms` is what conversations are ordered
    by, from a log whose own clock may be set back; None: `appended_ms` is.
    """

    log_position: LogPosition
    key: bytes
    value: bytes
    appended_ms: int
    log_append_time: bool
    headers: Headers = ()
    monotonic_ms: int | None = None

    @property
    def order_ms(self) -> int:
        """What its conversation is ordered by in lists; 0 where the log has not stamped it."""
        if self.monotonic_ms is not None:
            return self.monotonic_ms
        return self.appended_ms if self.log_append_time else 0


class MessageRecord(NamedTuple):
    """A message that waits for its number.

    `fresh`: the gateway made the id itself. `moved`: it was appended again, to its right partition.
    `mark_read`: it moves its sender's markers. `reply_seq`: the number of the message that it
    answers.
    """

    conversation_id: ConversationId
    message_id: MessageId
    sender_id: Username
    content: str
    created_at: str
    fresh: bool = False
    moved: bool = False
    mark_read: bool = True
    kind: Kind = Kind.TEXT
    payload: Mapping[str, Any] | None = None
    reply_seq: int | None = None
    mentions: tuple[Username, ...] = ()


@dataclass(frozen=True, slots=True)
class MarkerRecord:
    """A member has received and read up to these numbers."""

    conversation_id: ConversationId
    username: Username
    delivered_seq: int
    read_seq: int


@dataclass(frozen=True, slots=True)
class DeliveredRecord:
    """Members have received up to these numbers: one record for all that came together."""

    conversation_id: ConversationId
    delivered: Mapping[Username, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A change of the message `seq`, that waits for its number; `author` makes it.

    `fresh` and `moved` are those of `MessageRecord`, for the change's own id.
    """

    conversation_id: ConversationId
    change_id: ChangeId
    author: Username
    seq: int
    changed_at: str
    fresh: bool = False
    moved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRecord(_Change):
    """A message gets another text."""

    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionRecord(_Change):
    """A message is deleted: its own author's, or any by somebody who is an admin."""

    as_admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionRecord(_Change):
    """A reaction is given or taken back."""

    emoji: str
    given: bool


ChangeRecord: TypeAlias = EditRecord | DeletionRecord | ReactionRecord
Record: TypeAlias = MessageRecord | MarkerRecord | DeliveredRecord | ChangeRecord
"""Every kind of record. A `match` over it ends with `assert_never`."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be processed: its cause, its original bytes, headers and position.

    Times in milliseconds since 1970. `put_aside_ms` is when it was kept, None where unknown;
    `replayed_by` is the record by which it was last appended again, if it was. `value` is empty
    then.
    """

    log_position: LogPosition
    cause: str
    key: bytes
    value: bytes
    put_aside_ms: int | None = None
    replayed_ms: int | None = None
    replayed_by: LogPosition | None = None
    headers: Headers = ()
