"""A stored message as columns of SQLite and as JSON, defined only here.

A field of `StoredMessage` is the column of the same name; the log position is three columns, and
the text of an edited message is in a column of its own. What few messages have is null in all
others, the kind too.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

import msgspec

from chat4all.domain.changes import ReactionCount
from chat4all.domain.ids import LogPosition
from chat4all.domain.kinds import PREVIEW_MAX, Kind, Reply
from chat4all.domain.messages import StoredMessage
from chat4all.wire.payloads import as_column, names_in, payload_in

_CHANGED = ("edited_at", "deleted_at", "reactions")
"""What changes leave on a message; none of it is written with the message."""

SELDOM = ("kind", "payload", "reply_seq", "mentions")
"""What messages have that are not plain."""

_PLAIN = tuple(
    field.name
    for field in fields(StoredMessage)
    if field.name not in ("log_position", "reply_to", *_CHANGED, *SELDOM)
)
_POSITION = ("log_epoch", "log_partition", "log_offset")
_CONTENT = "coalesce(edited_content, content)"

COLUMNS = ", ".join((*_PLAIN, *_POSITION))
"""The columns that are written, in the order of `values_of`."""

ALL_COLUMNS = ", ".join((*_PLAIN, *_POSITION, *SELDOM))
"""The columns of a message that is not plain, in the order of `all_values_of`."""

# A reply to a message that is not there, or not before it, answers none: other producers may write
# any number.
ANSWERED = """
    FROM messages AS answered
    WHERE answered.conversation_id = messages.conversation_id
      AND answered.seq = messages.reply_seq AND answered.seq < messages.seq"""
"""Where the message is, as `answered`, that a message answers."""

_ANSWERED_CONTENT = "coalesce(answered.edited_content, answered.content)"

# Only what may be too long is cut: `substr` would end at a null character.
REPLY_TO = f"""
CASE WHEN reply_seq IS NOT NULL THEN (
    SELECT json_object(
        'seq', answered.seq, 'message_id', answered.message_id, 'sender_id', answered.sender_id,
        'kind', coalesce(answered.kind, '{Kind.TEXT}'),
        'content', CASE WHEN length(CAST({_ANSWERED_CONTENT} AS BLOB)) <= {PREVIEW_MAX}
            THEN {_ANSWERED_CONTENT} ELSE substr({_ANSWERED_CONTENT}, 1, {PREVIEW_MAX}) END,
        'deleted', json(iif(answered.deleted_at IS NULL, 'false', 'true'))
    ) {ANSWERED}
) END"""
"""The expression of the message that is answered, as it is now: JSON."""

MESSAGE = ", ".join(
    (
        *(_CONTENT if name == "content" else name for name in _PLAIN),
        *_CHANGED,
        *SELDOM,
        REPLY_TO,
        *_POSITION,
    )
)
"""What is selected of `messages` for `message_of`."""

values_of: Callable[[StoredMessage], tuple[object, ...]] = attrgetter(
    *_PLAIN, *(f"log_position.{name}" for name in LogPosition._fields)
)
"""Returns a message's columns."""

AS_JSON = {
    **{name: name for name in (*_PLAIN, *_CHANGED, *SELDOM)},
    "content": _CONTENT,
    "reactions": "CASE WHEN reactions IS NULL THEN json('[]') ELSE json(reactions) END",
    "kind": f"coalesce(kind, '{Kind.TEXT}')",
    "payload": "json(payload)",
    "mentions": "CASE WHEN mentions IS NULL THEN json('[]') ELSE json(mentions) END",
    "reply_to": f"json({REPLY_TO})",
    "log_position": f"json_array({', '.join(_POSITION)})",
}
"""For each field of `StoredMessage` the expression of its value in JSON."""

WITHOUT = {
    **dict.fromkeys(("edited_at", "deleted_at", "payload", "reply_to"), "null"),
    **dict.fromkeys(("reactions", "mentions"), "[]"),
    "kind": f'"{Kind.TEXT}"',
}
"""What few messages have, as it is in the JSON of all others."""

IS_WITHOUT = "kind IS NULL AND reactions IS NULL AND edited_at IS NULL AND deleted_at IS NULL"
"""The condition that a message has nothing of that."""

_decoder = msgspec.json.Decoder(tuple[ReactionCount, ...])
_reply = msgspec.json.Decoder(Reply)
_encoder = msgspec.json.Encoder()


def all_values_of(message: StoredMessage) -> tuple[object, ...]:
    """Return all columns of a message that is not plain."""
    return (
        *values_of(message),
        message.kind.value,
        None if message.payload is None else as_column(message.payload),
        message.reply_seq,
        as_column(message.mentions) if message.mentions else None,
    )


def message_of(row: Sequence[Any]) -> StoredMessage:
    """Return the message that has these columns."""
    plain = dict(zip(_PLAIN, row[: len(_PLAIN)], strict=True))
    edited_at, deleted_at, reactions, kind, payload, reply_seq, mentions, reply_to = row[
        len(_PLAIN) : -3
    ]
    message = StoredMessage(
        **plain,
        log_position=LogPosition(*row[-3:]),
        edited_at=edited_at,
        deleted_at=deleted_at,
        reactions=reactions_of(reactions),
    )
    if kind is None:
        return message
    return replace(
        message,
        kind=Kind(kind),
        payload=payload_in(payload),
        reply_seq=reply_seq,
        mentions=names_in(mentions),
        reply_to=None if reply_to is None else _reply.decode(reply_to),
    )


def reactions_of(column: str | None) -> tuple[ReactionCount, ...]:
    """Return the reactions in a column."""
    return () if column is None else _decoder.decode(column)


def reactions_column(reactions: Sequence[ReactionCount]) -> str | None:
    """Return reactions as they are in a column: JSON, or null where there are none."""
    return _encoder.encode(reactions).decode() if reactions else None
