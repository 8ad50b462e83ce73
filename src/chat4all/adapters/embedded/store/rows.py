"""A stored message as columns of SQLite and as JSON, defined only here.

A field of `StoredMessage` is the column of the same name; the log position is three columns, and
the text of an edited message is in a column of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import msgspec

from chat4all.domain.changes import ReactionCount
from chat4all.domain.ids import LogPosition
from chat4all.domain.messages import StoredMessage

_CHANGED = ("edited_at", "deleted_at", "reactions")
"""What changes leave on a message; none of it is written with the message."""

_PLAIN = tuple(
    field.name for field in fields(StoredMessage) if field.name not in ("log_position", *_CHANGED)
)
_POSITION = ("log_epoch", "log_partition", "log_offset")
_CONTENT = "coalesce(edited_content, content)"

COLUMNS = ", ".join((*_PLAIN, *_POSITION))
"""The columns that are written, in the order of `values_of`."""

MESSAGE = ", ".join(
    (*(_CONTENT if name == "content" else name for name in _PLAIN), *_CHANGED, *_POSITION)
)
"""What is selected of `messages` for `message_of`."""

values_of: Callable[[StoredMessage], tuple[object, ...]] = attrgetter(
    *_PLAIN, *(f"log_position.{name}" for name in LogPosition._fields)
)
"""Returns a message's columns."""

AS_JSON = {
    **{name: name for name in (*_PLAIN, *_CHANGED)},
    "content": _CONTENT,
    "reactions": "CASE WHEN reactions IS NULL THEN json('[]') ELSE json(reactions) END",
    "log_position": f"json_array({', '.join(_POSITION)})",
}
"""For each field of `StoredMessage` the expression of its value in JSON."""

_decoder = msgspec.json.Decoder(tuple[ReactionCount, ...])
_encoder = msgspec.json.Encoder()


def message_of(row: Sequence[Any]) -> StoredMessage:
    """Return the message that has these columns."""
    plain = dict(zip(_PLAIN, row[: len(_PLAIN)], strict=True))
    edited_at, deleted_at, reactions = row[len(_PLAIN) : -3]
    return StoredMessage(
        **plain,
        log_position=LogPosition(*row[-3:]),
        edited_at=edited_at,
        deleted_at=deleted_at,
        reactions=reactions_of(reactions),
    )


def reactions_of(column: str | None) -> tuple[ReactionCount, ...]:
    """Return the reactions in a column."""
    return () if column is None else _decoder.decode(column)


def reactions_column(reactions: Sequence[ReactionCount]) -> str | None:
    """Return reactions as they are in a column: JSON, or null where there are none."""
    return _encoder.encode(reactions).decode() if reactions else None
