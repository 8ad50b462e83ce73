"""Files of earlier releases are migrated without losing a row."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chat4all.adapters.embedded import EmbeddedConsumer, EmbeddedLog, EmbeddedStore
from chat4all.adapters.embedded import log as log_module
from chat4all.adapters.embedded.inspecting import NEWEST, look_at_pair
from chat4all.adapters.embedded.store import schema
from chat4all.adapters.installation import TABLE
from chat4all.domain.changes import Deleted, Edited
from chat4all.domain.errors import StartRefused
from chat4all.domain.ids import LogPosition
from chat4all.domain.messages import AllRead
from chat4all.domain.position import Position
from chat4all.domain.records import DeadLetter
from chat4all.ports.store import StoreBatch
from tests.messages import batch, changed, changes, message
from tests.records import CHATS

pytestmark = pytest.mark.anyio

# As the first release made it; not imported, so that it stays as it was.
STORE_1 = """
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
ROWS = {
    "messages": (CHATS[0], 1, "id", "ana", "text", "2026-01-31T12:00:00.000Z", 0, 0, 1),
    "message_ids": (CHATS[0], "id", "ana", 1, 0, 0, 1),
    "conversation_heads": (CHATS[0], 1, 0, 0, 1),
    "read_markers": (CHATS[0], "ana", 1, 1),
    "dead_letters": (0, 0, 2, "no JSON", b"key", b"\xff\0"),
    "followed_log": (1, "a log", 2),
}


def store_of_version_1(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(STORE_1)
        for table, row in ROWS.items():
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        db.execute("PRAGMA user_version = 1")


SENT_MS = 1_769_860_800_000
"""The time of the message above, which its head gets."""

LOG_1 = """
CREATE TABLE info (log_id TEXT NOT NULL);
CREATE TABLE records (
    "offset" INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    appended_ms INTEGER NOT NULL
)
"""
LOG_ROWS = [(4, CHATS[0], b"four", 1_000), (5, CHATS[1], b"\xff\0", 2_000)]


def log_of_version_1(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(LOG_1)
        db.execute("INSERT INTO info VALUES ('a log')")
        db.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", LOG_ROWS)
        db.execute("PRAGMA user_version = 1")


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


async def test_a_store_of_version_1_keeps_every_row(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store_of_version_1(path)
    for _ in range(2):  # the second time there is nothing left to do
        store = EmbeddedStore(path)
        await store.open()
        letter = DeadLetter(LogPosition(0, 0, 2), "no JSON", b"key", b"\xff\0")
        assert list(await store.all(10)) == [letter]  # it has no headers
        assert await store.follows("a log") == ("a log", 2)
        await store.close()
        assert version(path) == len(schema.SCHEMA)
    with closing(sqlite3.connect(path)) as db:
        for table, row in ROWS.items():
            (found,) = db.execute(f"SELECT * FROM {table}").fetchall()
            assert found[: len(row)] == row
            # There were no changes.
            assert set(found[len(row) :]) <= {None, SENT_MS, 0}


async def test_messages_of_the_release_before_take_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    with monkeypatch.context() as before:
        # The last step is the one of changes.
        before.setattr(schema, "SCHEMA", schema.SCHEMA[: schema.SCHEMA.index(TABLE) + 1])
        store = EmbeddedStore(path)
        await store.open()
        await store.write(batch(message(1), message(2)))
        await store.close()
    store = EmbeddedStore(path)
    await store.open()
    assert await store.position(CHATS[0]) == Position(2, 0)
    assert list(await store.with_numbers(CHATS[0], [1, 2])) == [message(1), message(2)]
    page = await store.page(CHATS[0], AllRead(0, None, 0), limit=5)
    assert (page.size, page.position) == (2, Position(2, 0))
    await store.write(changes(changed(1, Edited("new")), changed(2, Deleted(), seq=2)))
    first, second = await store.with_numbers(CHATS[0], [1, 2])
    assert (first.content, second.content) == ("new", "")
    assert await store.position(CHATS[0]) == Position(2, 2)
    await store.close()


@pytest.mark.parametrize("sent_at", ["2099-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
async def test_what_was_sent_in_the_future_is_ordered_by_the_upgrade(
    tmp_path: Path, sent_at: str
) -> None:
    path = tmp_path / "store.db"
    store_of_version_1(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE messages SET created_at = ?", (sent_at,))
    before_ms = time.time_ns() // 1_000_000
    store = EmbeddedStore(path)
    await store.open()
    activity = (await store.activity(CHATS[:1]))[CHATS[0]]
    await store.close()
    assert before_ms - 1 <= activity.order_ms <= time.time_ns() // 1_000_000 + 1


async def test_a_log_of_version_1_keeps_every_record_and_takes_headers(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log_of_version_1(path)
    for n in (6, 7):  # the second time there is nothing left to do
        log = EmbeddedLog(path)
        await log.open()
        assert log.log_id == "a log"
        assert await log.append(CHATS[0], b"new", [("trace", b"1")]) == LogPosition(0, 0, n)
        old, new = (records := await log.read(0, 10))[:2], records[2:]
        assert [
            (r.log_position.offset, r.key.decode(), r.value, r.appended_ms) for r in old
        ] == LOG_ROWS
        assert [list(r.headers) for r in old] == [[], []]
        assert [list(r.headers) for r in new] == [[("trace", b"1")]] * (n - 5)
        await log.close()
        assert version(path) == len(log_module.SCHEMA) == NEWEST["log.db"]


async def test_files_of_version_1_are_looked_at_without_changing_them(tmp_path: Path) -> None:
    log_of_version_1(tmp_path / "log.db")
    store_of_version_1(tmp_path / "store.db")
    change = f'UPDATE followed_log SET "offset" = {LOG_ROWS[0][0]}'
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as db:
        db.execute(change)
    pair = look_at_pair(tmp_path)
    assert (pair.first, pair.end, pair.newest_ms, pair.trouble) == (4, 5, 2_000, None)
    assert [version(tmp_path / name) for name in NEWEST] == [1, 1]


@pytest.mark.parametrize(
    ("make_old", "part"), [(store_of_version_1, EmbeddedStore), (log_of_version_1, EmbeddedLog)]
)
async def test_an_upgraded_file_has_the_tables_of_a_new_one(
    tmp_path: Path,
    make_old: Callable[[Path], None],
    part: type[EmbeddedStore] | type[EmbeddedLog],
) -> None:
    make_old(tmp_path / "old.db")
    tables = []
    for name in ("old.db", "new.db"):
        opened = part(tmp_path / name)
        await opened.open()
        await opened.close()
        with closing(sqlite3.connect(tmp_path / name)) as db:
            tables.append(
                db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
            )
    assert tables[0] == tables[1]


async def test_an_upgrade_that_fails_half_way_has_done_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    store_of_version_1(path)
    steps = (*schema.SCHEMA, "CREATE TABLE added (x); SELECT * FROM missing")
    monkeypatch.setattr(schema, "SCHEMA", steps)
    store = EmbeddedStore(path)
    with pytest.raises(StartRefused):
        await store.open()
    await store.close()
    assert version(path) == 1
    with closing(sqlite3.connect(path)) as db:
        assert len(db.execute("SELECT * FROM dead_letters").fetchone()) == 6


async def test_a_guest_changes_no_schema(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store_of_version_1(path)
    guest = EmbeddedStore(path, guest=True)
    with pytest.raises(StartRefused, match="in use by an older Chat4All"):
        await guest.open()
    await guest.close()
    assert version(path) == 1


async def test_a_log_that_begins_beyond_the_stored_offset_stops_the_start(tmp_path: Path) -> None:
    log, store = EmbeddedLog(tmp_path / "log.db"), EmbeddedStore(tmp_path / "store.db")
    await log.open()
    await store.open()
    consumer = EmbeddedConsumer(log, store)
    await consumer.check()
    for _ in range(5):
        await log.append(CHATS[0], b"x")
    await store.write(StoreBatch(through=[LogPosition(0, 0, 2)]))
    future = 2**60
    await log.trim(future, through=2)
    await consumer.check()
    await log.trim(future, through=3)
    with pytest.raises(StartRefused, match="begins at 4, but"):
        await consumer.check()
    await log.trim(future, through=5)  # nothing is left, and three records are missing
    with pytest.raises(StartRefused, match="begins at 6"):
        await consumer.check()
    await store.write(StoreBatch(through=[LogPosition(0, 0, 5)]))
    await consumer.check()
    await log.close()
    await store.close()
