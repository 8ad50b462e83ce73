"""Numbered messages, ids, markers and heads: what the router reads and writes."""

import sqlite3
from collections.abc import Mapping, Sequence

from chat4all.adapters.embedded.database import in_parts, with_rows
from chat4all.adapters.embedded.store.changing import put_change_heads, put_changes
from chat4all.adapters.embedded.store.followed import FollowedLog, highest_offset, put_offset
from chat4all.adapters.embedded.store.numbered import created_by, first_uses, newest
from chat4all.adapters.embedded.store.rows import ALL_COLUMNS, COLUMNS, all_values_of, values_of
from chat4all.domain.errors import RouterStopped
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.messages import Head, StoredMessage
from chat4all.ports.store import IdEntry, IdKey, NumberedRow, StoreBatch

# A number belongs to one record for ever. Writing it again for the same record changes nothing;
# for another one the NOT NULL fails and rolls the whole batch back.
_PUT_MESSAGE = """
INSERT INTO messages ({columns}) VALUES {rows}
ON CONFLICT DO UPDATE SET log_offset = CASE
    WHEN (log_epoch, log_partition, log_offset)
       = (excluded.log_epoch, excluded.log_partition, excluded.log_offset) THEN log_offset END
"""
_PUT_PLAIN = _PUT_MESSAGE.replace("{columns}", COLUMNS)
_PUT_ANY = _PUT_MESSAGE.replace("{columns}", ALL_COLUMNS)
_PUT_ID = "INSERT INTO message_ids VALUES {rows} ON CONFLICT DO NOTHING"
_PUT_MARKER = """
INSERT INTO read_markers VALUES {rows}
ON CONFLICT DO UPDATE SET
    (delivered_seq, delivered_ms) = (
        max(delivered_seq, excluded.delivered_seq),
        CASE WHEN excluded.delivered_seq > delivered_seq THEN excluded.delivered_ms
             WHEN excluded.delivered_seq < delivered_seq THEN delivered_ms
             ELSE max(coalesce(delivered_ms, 0), excluded.delivered_ms) END),
    (read_seq, read_ms) = (
        max(read_seq, excluded.read_seq),
        CASE WHEN excluded.read_seq > read_seq THEN excluded.read_ms
             WHEN excluded.read_seq < read_seq THEN read_ms
             ELSE max(coalesce(read_ms, 0), excluded.read_ms) END)
"""
_PUT_HEAD = """
INSERT INTO conversation_heads
    (conversation_id, seq, log_epoch, log_partition, log_offset, order_ms) VALUES {rows}
ON CONFLICT DO UPDATE SET seq = excluded.seq, log_epoch = excluded.log_epoch,
    log_partition = excluded.log_partition, log_offset = excluded.log_offset,
    order_ms = coalesce(excluded.order_ms, order_ms)
WHERE excluded.seq > seq
"""
_LAST_ROW = """
SELECT seq, log_epoch, log_partition, log_offset FROM messages
WHERE conversation_id = ? ORDER BY seq DESC LIMIT 1
"""
_FIND_IDS = """
WITH wanted (conversation_id, message_id, sender_id) AS (VALUES {rows})
SELECT conversation_id, message_id, sender_id, seq, log_epoch, log_partition, log_offset
FROM wanted JOIN message_ids USING (conversation_id, message_id, sender_id)
"""
_NEWEST_FIRST = """
SELECT seq, message_id, sender_id, log_epoch, log_partition, log_offset FROM messages
WHERE conversation_id = ? ORDER BY seq DESC
"""


class SequencedMessages(FollowedLog):
    """`ports.store.SequencedStore`: a batch and the log's offset are one transaction."""

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        """Return the last written messages; see `ports.store.SequencedStore`."""
        return await self._database.read(lambda db: newest(db, _LAST_ROW, conversations, Head))

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        """Return where ids were first used; see `ports.store.SequencedStore`."""
        if not keys:
            return {}
        return await self._database.read(lambda db: first_uses(db, _FIND_IDS, keys, IdKey, IdEntry))

    async def at_positions(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, NumberedRow]:
        """Return what these records created; see `ports.store.SequencedStore`."""
        if not positions:
            return {}  # as a rule: only replays are looked up
        return await self._database.read(
            lambda db: created_by(db, _NEWEST_FIRST, positions, NumberedRow)
        )

    async def write(self, batch: StoreBatch) -> None:
        """Write all of it or nothing; see `ports.store.SequencedStore`."""
        offset = highest_offset(batch.through)

        def put(db: sqlite3.Connection) -> None:
            _put_messages(db, batch.messages)
            _put(
                db,
                _PUT_ID,
                [(*key, entry.seq, *entry.log_position) for key, entry in batch.ids.items()],
            )
            if batch.changes or batch.change_ids:
                put_changes(db, batch)
            _put(
                db,
                _PUT_MARKER,
                [
                    (
                        m.conversation_id,
                        m.username,
                        m.delivered_seq,
                        m.read_seq,
                        m.delivered_ms,
                        m.read_ms,
                    )
                    for m in batch.markers
                ],
            )
            _put(
                db,
                _PUT_HEAD,
                [
                    (key, head.seq, *head.log_position, head.order_ms or None)
                    for key, head in batch.heads.items()
                ],
            )
            if batch.change_heads:
                put_change_heads(db, batch)
            put_offset(db, offset)

        await self._database.write(put)
        self.committed = max(self.committed, offset)


def _put_messages(db: sqlite3.Connection, messages: Sequence[StoredMessage]) -> None:
    try:
        _put(db, _PUT_PLAIN, [values_of(message) for message in messages if message.is_plain])
        _put(db, _PUT_ANY, [all_values_of(message) for message in messages if not message.is_plain])
    except sqlite3.IntegrityError:
        raise RouterStopped(
            "a number is already another message's: the log and the store contradict "
            "each other, nothing was written"
        ) from None


def _put(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows, many with one statement; see `Database.write_one`."""
    for part in in_parts(rows):
        values = [value for row in part for value in row]
        db.execute(with_rows(statement, len(part[0]), len(part)), values)
