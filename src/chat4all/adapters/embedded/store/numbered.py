"""What is read alike of messages and of changes: their newest numbers, ids, and log positions."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chat4all.adapters.embedded.database import in_parts, with_rows
from chat4all.domain.ids import ConversationId, LogPosition

H = TypeVar("H")
K = TypeVar("K", bound=tuple[Any, ...])
E = TypeVar("E")
R = TypeVar("R")


def newest(
    db: sqlite3.Connection,
    statement: str,
    conversations: Sequence[ConversationId],
    head: Callable[[int, LogPosition], H],
) -> dict[ConversationId, H]:
    """Return the newest number of each conversation and its position, as a `head`.

    The statement selects both for one conversation.
    """
    heads = {}
    for conversation in conversations:
        row = db.execute(statement, (conversation,)).fetchone()
        if row is not None:
            heads[conversation] = head(row[0], LogPosition(*row[1:]))
    return heads


def first_uses(
    db: sqlite3.Connection,
    statement: str,
    keys: Sequence[K],
    key: Callable[..., K],
    entry: Callable[[int, LogPosition], E],
) -> dict[K, E]:
    """Return where ids were first used: for each `key` that was, its number and position.

    The statement selects the three columns of a key, then number and position, for `{rows}`.
    """
    entries = {}
    for part in in_parts(keys):
        rows = db.execute(
            with_rows(statement, 3, len(part)), [value for one in part for value in one]
        )
        for conversation, uuid, owner, number, *position in rows:
            entries[key(conversation, uuid, owner)] = entry(number, LogPosition(*position))
    return entries


def created_by(
    db: sqlite3.Connection,
    statement: str,
    positions: Sequence[tuple[ConversationId, LogPosition]],
    row: Callable[..., R],
) -> dict[LogPosition, R]:
    """Return the rows that these records created, each as a `row`.

    The statement selects the rows of one conversation, newest first, their positions at the end.
    """
    by_conversation: dict[ConversationId, set[LogPosition]] = {}
    for conversation, position in positions:
        by_conversation.setdefault(conversation, set()).add(position)
    found = {}
    for conversation, wanted in by_conversation.items():
        lowest = min(wanted)
        # Downwards from the newest: a replay is never far from the end. Numbers and positions grow
        # together, so the first one below the lowest ends the search.
        for *values, epoch, partition, offset in db.execute(statement, (conversation,)):
            at = LogPosition(epoch, partition, offset)
            if at < lowest:
                break
            if at in wanted:
                found[at] = row(*values)
    return found
