"""The rows of `messages`: the one list of a message's columns, and how each is written and read."""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from chat4all.adapters.cassandra.keys import bucket_of, log_timestamp, position_of
from chat4all.adapters.cassandra.session import Row, Statement
from chat4all.domain.ids import ConversationId
from chat4all.domain.messages import Status, StoredMessage
from chat4all.domain.times import format_milliseconds


class _Column(NamedTuple):
    """A field of `StoredMessage`, in the column of its name; None: its value is kept as it is."""

    name: str
    written: Callable[[Any], object] | None = None
    read: Callable[[Any], Any] | None = None
    selected: str = "{}"


# In the order of `StoredMessage`, whose first field, the conversation, is a part of the key.
_COLUMNS = (
    _Column("seq"),
    _Column("message_id", UUID, str),
    _Column("sender_id"),
    _Column("content"),
    _Column(
        "created_at", datetime.fromisoformat, format_milliseconds, selected="toUnixTimestamp({})"
    ),
    _Column("log_position", tuple, position_of),
)
_NAMES = [column.name for column in _COLUMNS]
_READ = [(n, column.read) for n, column in enumerate(_COLUMNS) if column.read]
_WRITTEN = [(n, column.written) for n, column in enumerate(_COLUMNS) if column.written]
_fields: Callable[[StoredMessage], tuple[Any, ...]] = attrgetter(*_NAMES)

MESSAGE = ", ".join(column.selected.format(column.name) for column in _COLUMNS)
"""What is selected of `messages` for `message_of`."""

_INSERTED = ("conversation_id", "bucket", "status", *_NAMES)
_PUT_MESSAGE = (
    f"INSERT INTO messages ({', '.join(_INSERTED)}) VALUES ({', '.join('?' * len(_INSERTED))}) "
    "USING TIMESTAMP ?"
)


def put_message(message: StoredMessage) -> Statement:
    """Write a message under its number, with the write time of its log position (rule 5)."""
    values = [*_fields(message)]
    for n, written in _WRITTEN:
        values[n] = written(values[n])
    return _PUT_MESSAGE, (
        UUID(message.conversation_id),
        bucket_of(message.seq),
        Status.DELIVERED.value,
        *values,
        log_timestamp(message.log_position),
    )


def message_of(conversation: ConversationId, row: Row) -> StoredMessage:
    """Return the message in a row of `MESSAGE`."""
    values = [*row]
    for n, read in _READ:
        values[n] = read(values[n])
    return StoredMessage(conversation, *values)
