"""The tables of `store.db`, as a list of migrations."""

from chat4all.adapters.installation import TABLE

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
# When a dead letter was kept, and when and as which record it was replayed; null: not, or unknown.
_REPLAYS = """
ALTER TABLE dead_letters ADD COLUMN put_aside_ms INTEGER;
ALTER TABLE dead_letters ADD COLUMN replayed_ms INTEGER;
ALTER TABLE dead_letters ADD COLUMN replayed_epoch INTEGER;
ALTER TABLE dead_letters ADD COLUMN replayed_partition INTEGER;
ALTER TABLE dead_letters ADD COLUMN replayed_offset INTEGER
"""
# When the records that moved a marker were appended; null: unknown.
_MARKER_TIMES = """
ALTER TABLE read_markers ADD COLUMN delivered_ms INTEGER;
ALTER TABLE read_markers ADD COLUMN read_ms INTEGER
"""
# The headers of a dead letter's record: JSON, or null where there are none.
_LETTER_HEADERS = "ALTER TABLE dead_letters ADD COLUMN headers BLOB"
# What conversations are ordered by: when the log took the newest message. Of earlier ones only when
# they were sent is known, by a clock that may have been wrong: they were sent before this upgrade.
_ORDER = """
ALTER TABLE conversation_heads ADD COLUMN order_ms INTEGER;
UPDATE conversation_heads SET order_ms = (
    SELECT CAST(round(
        (min(julianday(created_at), julianday('now')) - 2440587.5) * 86400000
    ) AS INTEGER)
    FROM messages
    WHERE messages.conversation_id = conversation_heads.conversation_id
      AND messages.seq = conversation_heads.seq
)
"""
# Edits, deletions and reactions. A message's own text stays as it was sent until it is deleted.
# What its changes come to is kept beside it, so that a page needs no other table; `reactions` is
# the JSON that readers get.
_CHANGES = """
ALTER TABLE messages ADD COLUMN edited_content TEXT;
ALTER TABLE messages ADD COLUMN edited_at TEXT;
ALTER TABLE messages ADD COLUMN deleted_at TEXT;
ALTER TABLE messages ADD COLUMN reactions TEXT;
ALTER TABLE conversation_heads ADD COLUMN "change" INTEGER NOT NULL DEFAULT 0;
CREATE TABLE changes (
    conversation_id TEXT NOT NULL,
    "change" INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    change_id TEXT NOT NULL,
    author TEXT NOT NULL,
    log_epoch INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, "change")
) WITHOUT ROWID;
CREATE TABLE change_ids (
    conversation_id TEXT NOT NULL,
    change_id TEXT NOT NULL,
    author TEXT NOT NULL,
    "change" INTEGER NOT NULL,
    log_epoch INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, change_id, author)
) WITHOUT ROWID;
CREATE TABLE edits (
    conversation_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    "change" INTEGER NOT NULL,
    content TEXT NOT NULL,
    edited_at TEXT NOT NULL,
    PRIMARY KEY (conversation_id, seq, "change")
) WITHOUT ROWID;
CREATE TABLE reactions (
    conversation_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    emoji TEXT NOT NULL,
    username TEXT NOT NULL,
    "change" INTEGER NOT NULL,
    given INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq, emoji, username)
) WITHOUT ROWID;
UPDATE dead_letters SET value = x'' WHERE replayed_ms IS NOT NULL
"""
# What few messages have besides their text. All four are null where a message has none of it: a
# page tells them apart by the kind alone. The index finds unread mentions without reading others.
_KINDS = """
ALTER TABLE messages ADD COLUMN kind TEXT;
ALTER TABLE messages ADD COLUMN payload TEXT;
ALTER TABLE messages ADD COLUMN reply_seq INTEGER;
ALTER TABLE messages ADD COLUMN mentions TEXT;
CREATE INDEX mentioned ON messages (conversation_id, seq) WHERE mentions IS NOT NULL
"""
SCHEMA = (_FIRST, _REPLAYS, _MARKER_TIMES, _LETTER_HEADERS, _ORDER, TABLE, _CHANGES, _KINDS)
"""Every migration; see `Database`."""
