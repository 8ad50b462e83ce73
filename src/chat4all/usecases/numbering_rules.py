"""Which number a message has, if any, as a function of the log alone (EXACTNESS 4, 6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chat4all.domain.errors import RouterStopped
from chat4all.domain.ids import ConversationId, LogPosition, Username, uuid7_time
from chat4all.domain.messages import NO_HEAD, Head, StoredMessage
from chat4all.domain.records import LogRecord, MessageRecord
from chat4all.ports.store import ChangeEntry, ChangeRow, IdEntry, IdKey, NumberedRow

FRESH_MS = 1_000
"""An id that a gateway made and the log stamped within this time cannot be a retry: the gateway
reports an unknown outcome no sooner than 2 s after it made the id (rule 6)."""


def must_look_up(record: LogRecord, message: MessageRecord, head: Head) -> bool:
    """Say whether this id may have been used at an earlier position (rule 6)."""
    return record.log_position <= head.log_position or may_be_used(
        record, message.message_id, fresh=message.fresh, moved=message.moved
    )


def may_be_used(record: LogRecord, uuid: str, *, fresh: bool, moved: bool) -> bool:
    """Say whether an id may have been used before: it is not sure that it was just made."""
    made_ms = uuid7_time(uuid)
    return (
        made_ms is None
        or not fresh
        or moved
        or not record.log_append_time
        or not 0 <= record.appended_ms - made_ms <= FRESH_MS
    )


@dataclass(slots=True)
class Numbered:
    """The messages of a batch that have a number, and what is written with them."""

    messages: list[StoredMessage] = field(default_factory=list)
    ids: dict[IdKey, IdEntry] = field(default_factory=dict)
    heads: dict[ConversationId, Head] = field(default_factory=dict)


def number_messages(
    messages: Sequence[tuple[LogRecord, MessageRecord]],
    watermarks: Mapping[ConversationId, Head],
    entries: Mapping[IdKey, IdEntry],
    rows: Mapping[LogPosition, NumberedRow],
) -> Numbered:
    """Assign numbers in log order, from heads, used ids and, for replays, the written rows.

    `watermarks` are the heads before the batch. Raises `RouterStopped` when the store contradicts
    the log.
    """
    numbered = Numbered(
        heads={key: head for key, head in watermarks.items() if head is not NO_HEAD}
    )
    for record, message in messages:
        conversation, log_position = message.conversation_id, record.log_position
        key = id_key(message)
        first = numbered.ids.get(key) or entries.get(key)
        if log_position <= watermarks[conversation].log_position:
            owner = (message.message_id, message.sender_id)
            seq = number_of_replay(log_position, owner, rows.get(log_position), first)
            if seq is not None and log_position == watermarks[conversation].log_position:
                # A head that was recovered from its row does not have it.
                numbered.heads[conversation] = Head(seq, log_position, record.order_ms)
        else:
            head = numbered.heads.get(conversation, NO_HEAD)
            seq = number_of_new(log_position, head.seq + 1, first)
            if seq is not None:
                numbered.heads[conversation] = Head(seq, log_position, record.order_ms)
        if seq is not None:
            numbered.ids.setdefault(key, IdEntry(seq, log_position))
            numbered.messages.append(_stored(message, seq, log_position))
    return numbered


def number_of_replay(
    log_position: LogPosition,
    owner: tuple[str, Username],
    row: NumberedRow | ChangeRow | None,
    first: IdEntry | ChangeEntry | None,
) -> int | None:
    """Return the number that a record at or below the watermark has; None for a duplicate (rule 4).

    If it has one, all its writes are made again: those after its row may be missing. `owner` is
    the record's id and whose it is.
    """
    if row is not None:
        number, *of = row
        if of[0] is not None and tuple(of) != owner:
            raise contradiction(log_position, "its row is another message's")
        return number
    if first is not None and first.log_position < log_position:
        return None
    raise contradiction(log_position, "it is below the head and has no row")


def number_of_new(
    log_position: LogPosition, following: int, first: IdEntry | ChangeEntry | None
) -> int | None:
    """Return the number that follows, or None when the id was used before (rule 6)."""
    if first is None:
        return following
    if first.log_position < log_position:
        return None
    if first == (following, log_position):
        return following  # another router was faster; this one repeats its writes
    raise contradiction(log_position, "its id is known with another number or from later on")


def contradiction(log_position: LogPosition, what: str) -> RouterStopped:
    """Return the error for a record that does not fit what was written."""
    return RouterStopped(
        f"the record at epoch {log_position.epoch}, partition {log_position.partition}, offset "
        f"{log_position.offset} contradicts the store: {what}; nothing was written for it"
    )


def id_key(message: MessageRecord) -> IdKey:
    """Return what identifies a message; see `IdKey`."""
    return IdKey(message.conversation_id, message.message_id, message.sender_id)


def _stored(message: MessageRecord, seq: int, log_position: LogPosition) -> StoredMessage:
    return StoredMessage(
        message.conversation_id,
        seq,
        message.message_id,
        message.sender_id,
        message.content,
        message.created_at,
        log_position,
        kind=message.kind,
        payload=message.payload,
        reply_seq=message.reply_seq,
        mentions=message.mentions,
    )
