"""The rows of `messages`: the one list of a message's columns, and how each is written and read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from chat4all.adapters.cassandra.keys import bucket_of, log_timestamp, position_of
from chat4all.adapters.cassandra.session import Row, Statement
from chat4all.domain.changes import Reacted, count_reactions
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.kinds import Kind
from chat4all.domain.messages import Status, StoredMessage
from chat4all.domain.times import format_milliseconds
from chat4all.wire.payloads import as_column, names_in, payload_in


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
    _Column("log_position", None, position_of),
)
# What changes leave on a message; written by `changes`.
_CHANGED = (
    _Column("edited_content"),
    _Column("edited_at", selected="toUnixTimestamp({})"),
    _Column("deleted_at", selected="toUnixTimestamp({})"),
    _Column("reactions"),
)
# What messages have that are not plain; written where there is any.
_SELDOM = (
    _Column("kind", str, Kind),
    _Column("payload", as_column, payload_in),
    _Column("reply_seq"),
    _Column("mentions", as_column, names_in),
)
_NAMES = [column.name for column in _COLUMNS]
_READ = [(n, column.read) for n, column in enumerate(_COLUMNS) if column.read]
_WRITTEN = [(n, column.written) for n, column in enumerate(_COLUMNS) if column.written]
_fields: Callable[[StoredMessage], tuple[Any, ...]] = attrgetter(*_NAMES)

MESSAGE = ", ".join(
    column.selected.format(column.name) for column in (*_COLUMNS, *_CHANGED, *_SELDOM)
)
"""What is selected of `messages` for `message_of`."""

_INSERTED = ("conversation_id", "bucket", "status", *_NAMES)


def _put(*more: str) -> str:
    columns = (*_INSERTED, *more)
    return (
        f"INSERT INTO messages ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        "USING TIMESTAMP ?"
    )


_PUT_PLAIN = _put()
_PUT_MENTIONS = (
    "INSERT INTO mentions (conversation_id, bucket, seq, names) VALUES (?, ?, ?, ?) "
    "USING TIMESTAMP ?"
)


def put_message(message: StoredMessage) -> Statement:
    """Write a message under its number, with the write time of its log position (rule 5)."""
    values = [*_fields(message)]
    for n, written in _WRITTEN:
        values[n] = written(values[n])
    statement = _PUT_PLAIN
    if not message.is_plain:
        # A null is never inserted.
        given = {column: getattr(message, column.name) for column in _SELDOM}
        given = {column: value for column, value in given.items() if value not in (None, ())}
        statement = _put(*(column.name for column in given))
        values += [
            value if column.written is None else column.written(value)
            for column, value in given.items()
        ]
    return statement, (
        UUID(message.conversation_id),
        bucket_of(message.seq),
        Status.DELIVERED.value,
        *values,
        log_timestamp(message.log_position),
    )


def put_mentions(message: StoredMessage) -> Statement:
    """Write whom a message mentions where unread mentions are looked for."""
    return _PUT_MENTIONS, (
        UUID(message.conversation_id),
        bucket_of(message.seq),
        message.seq,
        as_column(message.mentions),
        log_timestamp(message.log_position),
    )


def message_of(conversation: ConversationId, row: Row) -> StoredMessage:
    """Return the message in a row of `MESSAGE`."""
    values = [*row[: len(_COLUMNS)]]
    for n, read in _READ:
        values[n] = read(values[n])
    message = StoredMessage(conversation, *values)
    edited_content, edited_ms, deleted_ms, reactions, *seldom = row[len(_COLUMNS) :]
    if seldom[0] is not None:
        given = {
            column.name: value if column.read is None else column.read(value)
            for column, value in zip(_SELDOM, seldom, strict=True)
        }
        message = replace(message, **given)
    if deleted_ms is not None:
        # No text, even where this is read before the text is emptied.
        return replace(
            message,
            content="",
            payload=None,
            mentions=(),
            deleted_at=format_milliseconds(deleted_ms),
        )
    if reactions:
        message = replace(message, reactions=count_reactions(reactions_in(reactions)))
    if edited_ms is not None:
        edited_at = format_milliseconds(edited_ms)
        message = replace(message, content=edited_content, edited_at=edited_at)
    return message


def reactions_in(cells: Mapping[str, int] | None) -> Iterator[tuple[str, Username, int]]:
    """Return the reactions that are given: emoji, name, and the number of the change."""
    for key, number in (cells or {}).items():
        if number > 0:
            emoji, _, name = key.partition(" ")
            yield emoji, Username(name), number


def reaction_of(cells: Mapping[str, int] | None, change: int) -> Reacted | None:
    """Return the reaction that the change of this number gave or took back; None: it is no more."""
    for key, number in (cells or {}).items():
        if abs(number) == change:
            return Reacted(key.partition(" ")[0], given=number > 0)
    return None
