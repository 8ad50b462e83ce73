"""A stored message as columns of SQLite and as JSON, defined only here.

A field of `StoredMessage` is the column of the same name; the log position is three columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from chat4all.domain.ids import LogPosition
from chat4all.domain.messages import StoredMessage

_PLAIN = tuple(field.name for field in fields(StoredMessage) if field.name != "log_position")
_POSITION = ("log_epoch", "log_partition", "log_offset")

COLUMNS = (*_PLAIN, *_POSITION)
"""The columns of `messages`, in the order of `values_of` and `message_of`."""

MESSAGE = ", ".join(COLUMNS)

values_of: Callable[[StoredMessage], tuple[object, ...]] = attrgetter(
    *_PLAIN, *(f"log_position.{name}" for name in LogPosition._fields)
)
"""Returns a message's columns."""

AS_JSON = {
    **{name: name for name in _PLAIN},
    "log_position": f"json_array({', '.join(_POSITION)})",
}
"""For each field of `StoredMessage` the expression of its value in JSON."""


def message_of(row: Sequence[Any]) -> StoredMessage:
    """Return the message that has these columns."""
    plain = dict(zip(_PLAIN, row[:-3], strict=True))
    return StoredMessage(**plain, log_position=LogPosition(*row[-3:]))
