"""Numbered changes and what they do to their messages: what the router reads and writes."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import assert_never

from chat4all.adapters.embedded.store.numbered import created_by, first_uses, newest
from chat4all.adapters.embedded.store.part import Part
from chat4all.adapters.embedded.store.rows import reactions_column
from chat4all.domain.changes import (
    ChangeHead,
    Deleted,
    Edited,
    NumberedChange,
    Reacted,
    count_reactions,
)
from chat4all.domain.errors import RouterStopped
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.ports.store import ChangeEntry, ChangeKey, ChangeRow, StoreBatch, Target, TargetKey

_LAST_CHANGE = """
SELECT "change", log_epoch, log_partition, log_offset FROM changes
WHERE conversation_id = ? ORDER BY "change" DESC LIMIT 1
"""
_FIND_IDS = """
WITH wanted (conversation_id, change_id, author) AS (VALUES {rows})
SELECT conversation_id, change_id, author, "change", log_epoch, log_partition, log_offset
FROM wanted JOIN change_ids USING (conversation_id, change_id, author)
"""
_NEWEST_FIRST = """
SELECT "change", change_id, author, log_epoch, log_partition, log_offset FROM changes
WHERE conversation_id = ? ORDER BY "change" DESC
"""
_TARGET = """
SELECT log_epoch, log_partition, log_offset, sender_id, deleted_at IS NOT NULL FROM messages
WHERE conversation_id = ? AND seq = ?
"""
# As with messages: a number belongs to one record for ever.
_PUT_CHANGE = """
INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET log_offset = CASE
    WHEN (log_epoch, log_partition, log_offset)
       = (excluded.log_epoch, excluded.log_partition, excluded.log_offset) THEN log_offset END
"""
_PUT_ID = "INSERT INTO change_ids VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_PUT_HEAD = """
UPDATE conversation_heads SET "change" = :change
WHERE conversation_id = :conversation AND "change" < :change
"""
_PUT_EDIT = "INSERT INTO edits VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
# The last edit, whatever was written before: a replay of an earlier one changes nothing.
_EDITED = """
UPDATE messages SET (edited_content, edited_at) = (
    SELECT content, edited_at FROM edits
    WHERE edits.conversation_id = messages.conversation_id AND edits.seq = messages.seq
    ORDER BY "change" DESC LIMIT 1
) WHERE conversation_id = ? AND seq = ? AND deleted_at IS NULL
"""
_DELETED = """
UPDATE messages SET content = '', edited_content = NULL, edited_at = NULL, reactions = NULL,
    payload = NULL, mentions = NULL, deleted_at = coalesce(deleted_at, ?)
WHERE conversation_id = ? AND seq = ?
"""
_BLANK_EDITS = "UPDATE edits SET content = '' WHERE conversation_id = ? AND seq = ?"
_REACTED = """
INSERT INTO reactions VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET "change" = excluded."change", given = excluded.given
WHERE excluded."change" > "change"
"""
GIVEN = """
SELECT emoji, username, "change" FROM reactions
WHERE conversation_id = ? AND seq = ? AND given
"""
_COUNTED = """
UPDATE messages SET reactions = ? WHERE conversation_id = ? AND seq = ? AND deleted_at IS NULL
"""


class SequencedChangesTable(Part):
    """`ports.store.SequencedChanges`."""

    async def change_heads(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, ChangeHead]:
        """Return the last written changes; see `ports.store.SequencedChanges`."""
        return await self._database.read(
            lambda db: newest(db, _LAST_CHANGE, conversations, ChangeHead)
        )

    async def find_change_ids(self, keys: Sequence[ChangeKey]) -> Mapping[ChangeKey, ChangeEntry]:
        """Return where ids were first used; see `ports.store.SequencedChanges`."""
        if not keys:
            return {}
        return await self._database.read(
            lambda db: first_uses(db, _FIND_IDS, keys, ChangeKey, ChangeEntry)
        )

    async def changes_at(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, ChangeRow]:
        """Return what these records created; see `ports.store.SequencedChanges`."""
        if not positions:
            return {}
        return await self._database.read(
            lambda db: created_by(db, _NEWEST_FIRST, positions, ChangeRow)
        )

    async def targets(self, keys: Sequence[TargetKey]) -> Mapping[TargetKey, Target]:
        """Return the messages of these numbers; see `ports.store.SequencedChanges`."""

        def select(db: sqlite3.Connection) -> dict[TargetKey, Target]:
            found = {}
            for key in keys:
                row = db.execute(_TARGET, key).fetchone()
                if row is not None:
                    *position, sender, is_deleted = row
                    found[key] = Target(LogPosition(*position), sender, bool(is_deleted))
            return found

        return await self._database.read(select) if keys else {}


def put_changes(db: sqlite3.Connection, batch: StoreBatch) -> None:
    """Write the changes of a batch and their ids in the current transaction."""
    try:
        db.executemany(
            _PUT_CHANGE,
            [
                (c.conversation_id, c.change, c.seq, c.change_id, c.author, *c.log_position)
                for c in batch.changes
            ],
        )
    except sqlite3.IntegrityError:
        raise RouterStopped(
            "a number is already another change's: the log and the store contradict each other, "
            "nothing was written"
        ) from None
    reacted = dict.fromkeys(
        (change.conversation_id, change.seq) for change in batch.changes if _put_effect(db, change)
    )
    for conversation, seq in reacted:
        column = reactions_column(count_reactions(db.execute(GIVEN, (conversation, seq))))
        db.execute(_COUNTED, (column, conversation, seq))
    db.executemany(
        _PUT_ID,
        [(*key, entry.change, *entry.log_position) for key, entry in batch.change_ids.items()],
    )


def put_change_heads(db: sqlite3.Connection, batch: StoreBatch) -> None:
    """Write up to where readers see changes; a lower number than before changes nothing."""
    db.executemany(
        _PUT_HEAD,
        [{"conversation": key, "change": head.change} for key, head in batch.change_heads.items()],
    )


def _put_effect(db: sqlite3.Connection, change: NumberedChange) -> bool:
    """Do to the message what a change says; return whether its reactions are to be counted."""
    message = (change.conversation_id, change.seq)
    match change.effect:
        case Edited(content):
            db.execute(_PUT_EDIT, (*message, change.change, content or "", change.changed_at))
            db.execute(_EDITED, message)
        case Deleted():
            db.execute(_DELETED, (change.changed_at, *message))
            db.execute(_BLANK_EDITS, message)
        case Reacted(emoji, given):
            db.execute(_REACTED, (*message, emoji, change.author, change.change, given))
            return True
        case _:
            assert_never(change.effect)
    return False
