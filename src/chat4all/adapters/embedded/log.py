"""The message log in one SQLite file: many appends share one synced commit."""

import asyncio
import logging
import sqlite3
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from chat4all.adapters.embedded.database import ROWS_MAX, Database, with_rows
from chat4all.adapters.embedded.deadlines import Deadlines
from chat4all.adapters.installation import TABLE
from chat4all.adapters.present_files import PresentFiles
from chat4all.concurrency.periodic import UNEXPECTED
from chat4all.domain.errors import OutcomeUnknown, Overloaded, Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Headers, LogRecord
from chat4all.wire.records import decode_headers, encode_headers

_log = logging.getLogger(__name__)

# AUTOINCREMENT: without it SQLite reuses the numbers of trimmed rows, and the router, whose offset
# is above them, would never see records appended there (EXACTNESS 21).
_FIRST = """
CREATE TABLE info (log_id TEXT NOT NULL);
CREATE TABLE records (
    "offset" INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    appended_ms INTEGER NOT NULL
)
"""
# A record's headers: JSON, or null for none.
_HEADERS = "ALTER TABLE records ADD COLUMN headers BLOB"
# What conversations are ordered by: a clock that is set back does not take it back, other than
# `appended_ms`, which is compared with the times in ids. `trimmed` has the highest that was given
# out before the records that are left.
_ORDER = """
ALTER TABLE records ADD COLUMN order_ms INTEGER;
CREATE TABLE trimmed (order_ms INTEGER NOT NULL);
INSERT INTO trimmed SELECT coalesce(max(appended_ms), 0) FROM records
"""
SCHEMA = (_FIRST, _HEADERS, _ORDER, TABLE)
"""Every migration; see `Database`."""

_INSERT = "INSERT INTO records (key, value, appended_ms, headers, order_ms) VALUES {rows}"

_NEWEST_ORDER = """
SELECT max(order_ms) FROM (
    SELECT * FROM (SELECT order_ms FROM records ORDER BY "offset" DESC LIMIT 1)
    UNION ALL SELECT order_ms FROM trimmed
)
"""
_KEEP_ORDER = "UPDATE trimmed SET order_ms = max(order_ms, ?)"

QUEUE_MAX = 10_000
"""Records that may wait for a commit, each at most 64 KiB or so; one more is refused at once."""

TRIM_ROWS = 5_000
"""Records deleted in one transaction, so that appends do not wait long for it."""


class _Waiting(NamedTuple):
    key: ConversationId
    value: bytes
    headers: Headers
    done: asyncio.Future[LogPosition]


class EmbeddedLog:
    """A log of one epoch and one partition; offsets start at 1 and are never reused.

    `deadline`: seconds within which an append is acknowledged or its outcome reported as unknown.
    """

    def __init__(
        self,
        path: Path,
        *,
        deadline: float = 5.0,
        busy_seconds: float = 5.0,
        guest: bool = False,
        present: PresentFiles | None = None,
    ) -> None:
        self._database = Database(
            path, SCHEMA, busy_seconds=busy_seconds, guest=guest, present=present
        )
        self._deadlines = Deadlines(deadline, _unknown)
        self._queue: deque[_Waiting] = deque()
        self._flusher: asyncio.Task[None] | None = None
        self._appended = asyncio.Event()
        self._watcher: Callable[[], None] = self._appended.set
        self._order_ms = 0
        self.log_id = ""

    async def open(self) -> None:
        """Open the file, and give a new log its id."""
        await self._database.open()
        self.log_id = await self._database.write(_identify)
        self.order_after(await self._database.read(_newest_order))

    async def follow(self) -> None:
        """Open the file to read records of another process; call `notify` when it appends."""
        self.log_id = await self._database.read(_identity)

    def notify(self) -> None:
        """Wake `wait`: something was appended."""
        self._appended.set()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` after every commit, instead of waking `wait` in this process."""
        self._watcher = watcher

    def order_ms(self) -> int:
        """Return what something that happens now is ordered by: after all that came before it."""
        self._order_ms = max(_now_ms(), self._order_ms + 1)
        return self._order_ms

    def order_after(self, order_ms: int) -> None:
        """Order what comes from now on after this."""
        self._order_ms = max(self._order_ms, order_ms)

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        """Append one record; see `ports.log.MessageLog`."""
        if len(self._queue) >= QUEUE_MAX:
            raise Overloaded("too many messages wait for the log")
        done: asyncio.Future[LogPosition] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(key, value, headers, done))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        self._deadlines.watch(done)
        return await done

    def makes_fresh_ids(self) -> bool:
        """Return True: ids and records are stamped by one clock; see `ports.log.MessageLog`."""
        return True

    async def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """Return records above the offset `after`, oldest first."""

        def select(db: sqlite3.Connection) -> list[LogRecord]:
            rows = db.execute(
                'SELECT "offset", key, value, appended_ms, headers, order_ms FROM records '
                'WHERE "offset" > ? ORDER BY "offset" LIMIT ?',
                (after, limit),
            )
            return [
                LogRecord(
                    LogPosition(0, 0, offset),
                    key.encode(),
                    value,
                    appended_ms,
                    True,
                    decode_headers(headers),
                    order_ms,
                )
                for offset, key, value, appended_ms, headers, order_ms in rows
            ]

        return await self._database.read(select)

    async def wait(self, seconds: float) -> None:
        """Return when something was appended since the last call, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._appended.wait()
        except TimeoutError:
            return
        self._appended.clear()

    async def end(self) -> int:
        """Return the highest offset ever assigned, trimmed ones included; 0 when there is none."""
        return await self._database.read(last_offset)

    async def newest_ms(self) -> int:
        """Return the time of the newest record, trimmed ones included, by which lists are ordered.

        0 when there is none.
        """
        return await self._database.read(_newest_order)

    async def first(self) -> int:
        """Return the lowest offset in the log, or the next one if it is empty."""
        return await self._database.read(first_offset)

    async def trim(self, before_ms: int, through: int) -> int:
        """Delete records appended before a time, but none above the offset `through`.

        Returns how many were deleted: at most `TRIM_ROWS`, so that appends do not wait for long.
        """

        def delete(db: sqlite3.Connection) -> int:
            db.execute(_KEEP_ORDER, (_newest_order(db),))
            return db.execute(
                'DELETE FROM records WHERE "offset" IN ('
                'SELECT "offset" FROM records WHERE "offset" <= ? AND appended_ms < ? '
                'ORDER BY "offset" LIMIT ?)',
                (through, before_ms, TRIM_ROWS),
            ).rowcount

        return await self._database.write(delete)

    async def ping(self) -> None:
        """Return when the log can be written to, which only a write can tell."""
        await self._database.write(_write_probe)

    async def close(self) -> None:
        """Commit waiting records, then close the file."""
        if self._flusher is not None:
            await self._flusher
        self._deadlines.close()
        await self._database.close()

    async def _flush(self) -> None:
        """Commit waiting records in batches: those that arrive meanwhile are the next batch."""
        try:
            while batch := self._take():
                try:
                    last = await self._insert(batch)
                except Exception as error:
                    # Whatever it is, the records behind this batch must not wait for ever.
                    if not isinstance(error, Unavailable):
                        _log.exception("appending fails")
                    cause = str(error) if isinstance(error, Unavailable) else UNEXPECTED
                    for waiting in batch:
                        if not waiting.done.done():
                            waiting.done.set_exception(OutcomeUnknown(cause))
                    continue
                first = last - len(batch) + 1
                for offset, waiting in enumerate(batch, first):
                    if not waiting.done.done():
                        waiting.done.set_result(LogPosition(0, 0, offset))
                try:
                    self._watcher()
                except Exception:
                    _log.exception("the router is not told of new records")
        finally:
            self._flusher = None

    async def _insert(self, batch: Sequence[_Waiting]) -> int:
        """Commit a batch and return its last record's offset."""
        # Read the clock after the wait in the queue: the time between an id's making and its append
        # decides whether it must be looked up (EXACTNESS 6).
        now, order = _now_ms(), self.order_ms()
        values: list[object] = []
        for waiting in batch:
            values += (waiting.key, waiting.value, now, encode_headers(waiting.headers), order)
        return await self._database.write_one(with_rows(_INSERT, 5, len(batch)), values)

    def _take(self) -> list[_Waiting]:
        """Return the next batch, without records whose outcome was already reported as unknown."""
        batch: list[_Waiting] = []
        while self._queue and len(batch) < ROWS_MAX:
            waiting = self._queue.popleft()
            if not waiting.done.done():
                batch.append(waiting)
        return batch


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown("the log did not answer in time")


def _identify(db: sqlite3.Connection) -> str:
    log_id = _identity(db)
    if not log_id:
        log_id = str(uuid.uuid4())
        db.execute("INSERT INTO info VALUES (?)", (log_id,))
    return log_id


def _identity(db: sqlite3.Connection) -> str:
    row = db.execute("SELECT log_id FROM info").fetchone()
    return "" if row is None else str(row[0])


def _newest_order(db: sqlite3.Connection) -> int:
    (order_ms,) = db.execute(_NEWEST_ORDER).fetchone()
    return int(order_ms)


def first_offset(db: sqlite3.Connection) -> int:
    """Return the lowest offset in `log.db`, or the next one if it is empty."""
    (first,) = db.execute('SELECT min("offset") FROM records').fetchone()
    return last_offset(db) + 1 if first is None else int(first)


def _write_probe(db: sqlite3.Connection) -> None:
    """Write and sync a page without changing its content."""
    row = db.execute("INSERT INTO info VALUES ('')").lastrowid
    db.execute("DELETE FROM info WHERE rowid = ?", (row,))


def last_offset(db: sqlite3.Connection) -> int:
    """Return the highest offset ever assigned in `log.db`; 0 when there is none."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
    return 0 if row is None else int(row[0])
