"""The message store in one SQLite file."""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from chat4all.adapters.embedded.database import Database, in_parts, with_rows
from chat4all.domain.errors import RouterStopped
from chat4all.domain.ids import BEFORE_ALL, ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import (
    Activity,
    AllRead,
    Head,
    Overview,
    Receipt,
    Status,
    StoredMessage,
)
from chat4all.domain.records import DeadLetter
from chat4all.ports.history import EncodedPage
from chat4all.ports.store import IdEntry, IdKey, NumberedRow, StoreBatch
from chat4all.ports.summaries import OverviewQuery

_FIRST = """
CREATE TABLE messages (
    conversation_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at TEXT NOT NULL,
    log_epoch INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) WITHOUT ROWID;
CREATE TABLE message_ids (
    conversation_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    log_epoch INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, message_id, sender_id)
) WITHOUT ROWID;
CREATE TABLE conversation_heads (
    conversation_id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    log_epoch INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE read_markers (
    conversation_id TEXT NOT NULL,
    username TEXT NOT NULL,
    delivered_seq INTEGER NOT NULL,
    read_seq INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, username)
) WITHOUT ROWID;
CREATE TABLE dead_letters (
    log_epoch INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    cause TEXT NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (log_epoch, log_partition, log_offset)
) WITHOUT ROWID;
CREATE TABLE followed_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    log_id TEXT NOT NULL,
    "offset" INTEGER NOT NULL
)
"""
# When a letter was put aside and when and as which record it was replayed; null: not, or unknown.
_REPLAYS = """
ALTER TABLE dead_letters ADD COLUMN put_aside_ms INTEGER;
ALTER TABLE dead_letters ADD COLUMN replayed_ms INTEGER;
ALTER TABLE dead_letters ADD COLUMN replayed_epoch INTEGER;
ALTER TABLE dead_letters ADD COLUMN replayed_partition INTEGER;
ALTER TABLE dead_letters ADD COLUMN replayed_offset INTEGER
"""
# When the records that moved a marker were appended; null: not known.
_MARKER_TIMES = """
ALTER TABLE read_markers ADD COLUMN delivered_ms INTEGER;
ALTER TABLE read_markers ADD COLUMN read_ms INTEGER
"""
SCHEMA = (_FIRST, _REPLAYS, _MARKER_TIMES)
"""Every step that a file has come through; see `Database`."""

SEQ_END = 2**63 - 1
"""Above every number."""

_MESSAGE = (
    "conversation_id, seq, message_id, sender_id, content, created_at, "
    "log_epoch, log_partition, log_offset"
)

# A number belongs to one record for ever. Writing it again for the same record changes nothing;
# for another one the NOT NULL fails and takes the whole batch back.
_PUT_MESSAGE = f"""
INSERT INTO messages ({_MESSAGE}) VALUES {{rows}}
ON CONFLICT DO UPDATE SET log_offset = CASE
    WHEN (log_epoch, log_partition, log_offset)
       = (excluded.log_epoch, excluded.log_partition, excluded.log_offset) THEN log_offset END
"""
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
INSERT INTO conversation_heads VALUES {rows}
ON CONFLICT DO UPDATE SET seq = excluded.seq, log_epoch = excluded.log_epoch,
    log_partition = excluded.log_partition, log_offset = excluded.log_offset
WHERE excluded.seq > seq
"""
_FIND_IDS = """
WITH wanted (conversation_id, message_id, sender_id) AS (VALUES {rows})
SELECT conversation_id, message_id, sender_id, seq, log_epoch, log_partition, log_offset
FROM wanted JOIN message_ids USING (conversation_id, message_id, sender_id)
"""
_HEAD = "SELECT seq FROM conversation_heads WHERE conversation_id = :conversation"
# One row that holds a whole page of `wire.messages.MessageView`s. Numbers have no holes, so that
# the bounds say which messages it has. The order of the subquery is that of the text: SQLite does
# not merge an ordered subquery into an aggregate ("flattening", rule 16).
_PAGE = f"""
SELECT min(seq), max(seq), max(seq) < head,
       CAST('[' || group_concat(message) || ']' AS BLOB), json_group_array(DISTINCT sender_id)
FROM (
    SELECT head, seq, sender_id, json_object(
        'conversation_id', conversation_id,
        'message_id', message_id,
        'sender_id', sender_id,
        'content', content,
        'created_at', created_at,
        'status', CASE WHEN seq <= iif(sender_id = :slowest, :others, :everybody)
                  THEN '{Status.READ}' ELSE '{Status.DELIVERED}' END,
        'seq', seq
    ) AS message
    FROM (SELECT seq AS head FROM conversation_heads WHERE conversation_id = :conversation)
    CROSS JOIN messages
    WHERE conversation_id = :conversation AND {{bounds}}
    ORDER BY seq
)
"""
_PAGE_ABOVE = _PAGE.replace("{bounds}", "seq > :after AND seq <= min(:after + :limit, head)")
_PAGE_BELOW = _PAGE.replace(
    "{bounds}", "seq > min(:before - 1, head) - :limit AND seq <= min(:before - 1, head)"
)
_READ_SEQS = """
SELECT json_group_array(json_array(username, min(read_seq, head)))
FROM read_markers JOIN (
    SELECT coalesce((SELECT seq FROM conversation_heads WHERE conversation_id = :conversation), 0)
    AS head
) WHERE conversation_id = :conversation
"""
_RECEIPTS = """
SELECT username, min(delivered_seq, seq), min(read_seq, seq), delivered_ms, read_ms
FROM read_markers JOIN conversation_heads USING (conversation_id)
WHERE conversation_id = ?
"""
_ACTIVITY = """
SELECT value, seq, created_at
FROM json_each(?) JOIN conversation_heads ON conversation_id = value
                  JOIN messages USING (conversation_id, seq)
"""
_LAST = f"""
SELECT {", ".join(f"messages.{name}" for name in _MESSAGE.split(", "))}
FROM json_each(?) CROSS JOIN messages
    ON messages.conversation_id = json_extract(value, '$[0]')
    AND messages.seq = json_extract(value, '$[1]')
"""
_READ_BY = """
SELECT json_extract(value, '$[0]'), username, min(read_seq, json_extract(value, '$[1]'))
FROM json_each(?) CROSS JOIN read_markers
    ON conversation_id = json_extract(value, '$[0]') AND username = json_extract(value, '$[2]')
"""
_senders = msgspec.json.Decoder(list[Username])
_read_seqs = msgspec.json.Decoder(list[tuple[Username, int]])
_LETTER = (
    "log_epoch, log_partition, log_offset, cause, key, value, "
    "put_aside_ms, replayed_ms, replayed_epoch, replayed_partition, replayed_offset"
)
_PUT_OFFSET = 'UPDATE followed_log SET "offset" = max("offset", ?)'


class EmbeddedStore:
    """MessageStore and DeadLetters. One batch is one transaction, the log's offset included."""

    def __init__(self, path: Path, *, busy_seconds: float = 5.0, guest: bool = False) -> None:
        self._database = Database(path, SCHEMA, busy_seconds=busy_seconds, guest=guest)
        self.committed = 0

    async def open(self) -> None:
        """Open the file."""
        await self._database.open()

    async def follows(self, log_id: str) -> tuple[str, int]:
        """Return the log that this store is filled from and the offset up to which it is.

        A store that follows none yet follows `log_id` from now on.
        """

        def adopt(db: sqlite3.Connection) -> tuple[str, int]:
            db.execute(
                "INSERT INTO followed_log VALUES (1, ?, 0) ON CONFLICT DO NOTHING", (log_id,)
            )
            known, offset = db.execute('SELECT log_id, "offset" FROM followed_log').fetchone()
            return known, offset

        known, self.committed = await self._database.write(adopt)
        return known, self.committed

    async def stored(self) -> int:
        """Return the offset up to which everything is stored, also by another process."""
        found = await self._database.read_one('SELECT "offset" FROM followed_log', {})
        return 0 if found is None else int(found[0])

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Keep the offset, if no batch has already."""
        offset = _offset(through)
        if offset > self.committed:
            await self._database.write(lambda db: db.execute(_PUT_OFFSET, (offset,)))
            self.committed = offset

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        """Return the last written messages; see `ports.store.SequencedStore`."""

        def select(db: sqlite3.Connection) -> dict[ConversationId, Head]:
            found = {}
            for conversation in conversations:
                row = db.execute(
                    "SELECT seq, log_epoch, log_partition, log_offset FROM messages "
                    "WHERE conversation_id = ? ORDER BY seq DESC LIMIT 1",
                    (conversation,),
                ).fetchone()
                if row is not None:
                    found[conversation] = Head(row[0], LogPosition(*row[1:]))
            return found

        return await self._database.read(select)

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        """Return where ids were first used; see `ports.store.SequencedStore`."""

        def select(db: sqlite3.Connection) -> dict[IdKey, IdEntry]:
            found = {}
            for part in in_parts(keys):
                rows = db.execute(
                    with_rows(_FIND_IDS, 3, len(part)), [value for key in part for value in key]
                )
                for conversation, message_id, sender, seq, *position in rows:
                    found[IdKey(conversation, message_id, sender)] = IdEntry(
                        seq, LogPosition(*position)
                    )
            return found

        if not keys:
            return {}
        return await self._database.read(select)

    async def at_positions(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, NumberedRow]:
        """Return what these records created; see `ports.store.SequencedStore`."""
        wanted: dict[ConversationId, set[LogPosition]] = {}
        for conversation, position in positions:
            wanted.setdefault(conversation, set()).add(position)

        def select(db: sqlite3.Connection) -> dict[LogPosition, NumberedRow]:
            found = {}
            for conversation, places in wanted.items():
                lowest = min(places)
                # Downwards from the newest: a replay is never far from the end, and numbers and
                # positions grow together, so that the first one below the lowest ends the search.
                for row in db.execute(
                    f"SELECT {_MESSAGE} FROM messages WHERE conversation_id = ? ORDER BY seq DESC",
                    (conversation,),
                ):
                    message = _message(row)
                    if message.log_position < lowest:
                        break
                    if message.log_position in places:
                        found[message.log_position] = NumberedRow(
                            message.seq, message.message_id, message.sender_id
                        )
            return found

        return await self._database.read(select)

    async def write(self, batch: StoreBatch) -> None:
        """Write everything, or nothing; see `ports.store.SequencedStore`."""

        def put(db: sqlite3.Connection) -> None:
            try:
                _put(
                    db,
                    _PUT_MESSAGE,
                    [
                        (
                            m.conversation_id,
                            m.seq,
                            m.message_id,
                            m.sender_id,
                            m.content,
                            m.created_at,
                            *m.log_position,
                        )
                        for m in batch.messages
                    ],
                )
            except sqlite3.IntegrityError:
                raise RouterStopped(
                    "a number is already another message's: the log and the store contradict "
                    "each other, nothing was written"
                ) from None
            _put(
                db,
                _PUT_ID,
                [(*key, entry.seq, *entry.log_position) for key, entry in batch.ids.items()],
            )
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
                [(key, head.seq, *head.log_position) for key, head in batch.heads.items()],
            )
            db.execute(_PUT_OFFSET, (offset,))

        offset = _offset(batch.through)
        await self._database.write(put)
        self.committed = max(self.committed, offset)

    async def head(self, conversation: ConversationId) -> int:
        """Return the newest visible number; see `ports.history.ConversationHeads`."""
        found = await self._database.read_one(_HEAD, {"conversation": conversation})
        return 0 if found is None else int(found[0])

    async def page(
        self,
        conversation: ConversationId,
        all_read: AllRead,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> EncodedPage:
        """Return consecutive messages as readers see them; see `ports.history.History`."""
        first, last, more, body, senders = await self._database.read_one(
            _PAGE_BELOW if after is None else _PAGE_ABOVE,
            {
                "conversation": conversation,
                "limit": limit,
                "before": SEQ_END if before is None else before,
                "after": after,
                "everybody": all_read.everybody,
                "slowest": all_read.slowest,
                "others": all_read.others,
            },
        )
        if not body:
            return EncodedPage(b"[]", 0, 0, more=False)
        return EncodedPage(body, first, last, bool(more), frozenset(_senders.decode(senders)))

    async def receipts(self, conversation: ConversationId) -> Mapping[Username, Receipt]:
        """Return how far each reader has come; see `ports.store.SequencedStore`."""

        def select(db: sqlite3.Connection) -> dict[Username, Receipt]:
            rows = db.execute(_RECEIPTS, (conversation,))
            return {
                username: Receipt(delivered, read, delivered_ms or None, read_ms or None)
                for username, delivered, read, delivered_ms, read_ms in rows
            }

        return await self._database.read(select)

    async def activity(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Activity]:
        """Return the newest messages' numbers and times; see `ports.store.SequencedStore`."""
        wanted = _text(conversations)
        rows = await self._database.read(lambda db: db.execute(_ACTIVITY, (wanted,)).fetchall())
        return {conversation: Activity(seq, at) for conversation, seq, at in rows}

    async def overviews(
        self, asked: Mapping[ConversationId, OverviewQuery]
    ) -> Mapping[ConversationId, Overview]:
        """Return what lists show; see `ports.store.SequencedStore`."""
        last = _text([(key, one.seq) for key, one in asked.items()])
        readers = _text([(key, one.seq, who) for key, one in asked.items() for who in one.readers])

        def select(db: sqlite3.Connection) -> dict[ConversationId, Overview]:
            messages = map(_message, db.execute(_LAST, (last,)))
            found = {message.conversation_id: message for message in messages}
            read: dict[ConversationId, dict[Username, int]] = {key: {} for key in asked}
            for conversation, username, seq in db.execute(_READ_BY, (readers,)):
                read[conversation][username] = seq
            return {key: Overview(found.get(key), read[key]) for key in asked}

        return await self._database.read(select)

    async def read_seqs(self, conversation: ConversationId) -> Mapping[Username, int]:
        """Return how far everybody has read; see `ports.store.SequencedStore`."""
        (found,) = await self._database.read_one(_READ_SEQS, {"conversation": conversation})
        return dict(_read_seqs.decode(found))

    async def with_id(
        self, conversation: ConversationId, message_id: MessageId
    ) -> Sequence[StoredMessage]:
        """Return the messages with this id; see `ports.store.SequencedStore`."""

        def select(db: sqlite3.Connection) -> list[StoredMessage]:
            rows = db.execute(
                f"SELECT {_MESSAGE} FROM messages WHERE conversation_id = :c AND seq IN ("
                "SELECT seq FROM message_ids WHERE conversation_id = :c AND message_id = :m) "
                "AND seq <= (SELECT seq FROM conversation_heads WHERE conversation_id = :c) "
                "ORDER BY seq",
                {"c": conversation, "m": message_id},
            )
            return [_message(row) for row in rows]

        return await self._database.read(select)

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; see `ports.DeadLetters`."""
        now = time.time_ns() // 1_000_000
        rows = [(*x.log_position, x.cause, x.key, x.value, now) for x in letters]
        await self._database.write(
            lambda db: db.executemany(
                "INSERT INTO dead_letters (log_epoch, log_partition, log_offset, cause, key, value,"
                " put_aside_ms) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )
        )

    async def get(self, position: LogPosition) -> DeadLetter | None:
        """Return one dead letter; see `ports.DeadLetters`."""
        row = await self._database.read(
            lambda db: db.execute(
                f"SELECT {_LETTER} FROM dead_letters "
                "WHERE (log_epoch, log_partition, log_offset) = (?, ?, ?)",
                position,
            ).fetchone()
        )
        return None if row is None else _dead_letter(row)

    async def all(self, limit: int, after: LogPosition = BEFORE_ALL) -> Sequence[DeadLetter]:
        """Return dead letters; see `ports.DeadLetters`."""
        rows = await self._database.read(
            lambda db: db.execute(
                f"SELECT {_LETTER} FROM dead_letters "
                "WHERE (log_epoch, log_partition, log_offset) > (?, ?, ?) "
                "ORDER BY log_epoch, log_partition, log_offset LIMIT ?",
                (*after, limit),
            ).fetchall()
        )
        return [_dead_letter(row) for row in rows]

    async def replayed(self, position: LogPosition, by: LogPosition) -> None:
        """Mark a dead letter; see `ports.DeadLetters`."""
        now = time.time_ns() // 1_000_000
        await self._database.write(
            lambda db: db.execute(
                "UPDATE dead_letters SET (replayed_ms, replayed_epoch, replayed_partition, "
                "replayed_offset) = (?, ?, ?, ?) "
                "WHERE (log_epoch, log_partition, log_offset) = (?, ?, ?)",
                (now, *by, *position),
            )
        )

    async def ping(self) -> None:
        """Return when the store can be read."""
        await self._database.read(lambda db: db.execute("SELECT 1 FROM followed_log").fetchone())

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()


def _text(values: object) -> str:
    return msgspec.json.encode(values).decode()


def _put(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows, many with one statement; see `Database.write_one`."""
    for part in in_parts(rows):
        values = [value for row in part for value in row]
        db.execute(with_rows(statement, len(part[0]), len(part)), values)


def _offset(through: Sequence[LogPosition]) -> int:
    """Return the offset of the embedded log's one partition; 0 for a batch that covers none."""
    return max((position.offset for position in through), default=0)


def _dead_letter(row: Sequence[Any]) -> DeadLetter:
    epoch, partition, offset, cause, key, value, put_aside, replayed, *by = row
    return DeadLetter(
        LogPosition(epoch, partition, offset),
        cause,
        key,
        value,
        put_aside,
        replayed,
        None if replayed is None else LogPosition(*by),
    )


def _message(row: Sequence[Any]) -> StoredMessage:
    conversation, seq, message_id, sender, content, created_at, epoch, partition, offset = row
    return StoredMessage(
        ConversationId(conversation),
        seq,
        MessageId(message_id),
        Username(sender),
        content,
        created_at,
        LogPosition(epoch, partition, offset),
    )
