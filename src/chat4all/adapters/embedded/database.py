"""One SQLite file behind an event loop: one writer thread, a few readers, bounded waits."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from chat4all.adapters.embedded.reads import Reads
from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.sqlite_files import read_write
from chat4all.concurrency.slices import slices
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import StartRefused, Unavailable

T = TypeVar("T")

_log = logging.getLogger(__name__)

READERS = 2
"""Threads that read. A short read holds the interpreter's lock for less than half of its time."""

ROWS_MAX = 64
"""Rows in one INSERT."""

STATEMENTS = 512
"""Prepared statements that a connection caches: INSERTs of every number of rows, for each table."""

WAITING_MAX = 1_000
"""Calls that may wait for a thread; one more is refused at once."""

CHECKPOINT_SECONDS = 1.0
"""How often the write-ahead log is checkpointed, while there are writes."""

WAL_KEPT_BYTES = 64 * 1024 * 1024
"""The write-ahead log is truncated to this size when it restarts; overwriting it syncs faster than
growing it."""


@lru_cache(STATEMENTS)
def with_rows(statement: str, width: int, rows: int) -> str:
    """Return a statement whose `{rows}` is replaced by that many rows of so many values."""
    row = "(" + ", ".join("?" * width) + ")"
    return statement.replace("{rows}", ", ".join([row] * rows))


def in_parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Return rows in parts that fit one statement."""
    return slices(rows, ROWS_MAX)


class Database:
    """A SQLite file in WAL mode; every commit is on the disk before it returns.

    `write` and `read` run a function with a connection in a thread: the first in a transaction that
    holds the write lock, the second in one that sees a single state of the file. After an error the
    connection is discarded: only a new one shows what a failed sync left behind.

    `schema` has the migrations, each to the next version; they are only ever added. A
    `guest` shares the file with the process that holds the data folder: it neither changes the
    schema nor checkpoints. `overwrite_deleted`: nothing that was deleted is left in the file
    (EXACTNESS 27). Nothing is read or written once one of the files in `present` is gone.
    """

    def __init__(
        self,
        path: Path,
        schema: Sequence[str],
        *,
        busy_seconds: float = 5.0,
        guest: bool = False,
        present: PresentFiles | None = None,
        overwrite_deleted: bool = False,
    ) -> None:
        self.path = path
        self._present = present or PresentFiles()
        self._schema = schema
        self._busy_seconds = busy_seconds
        self._guest = guest
        self._overwrite_deleted = overwrite_deleted
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"{path.stem}-reader")
        self._checkpointed = time.monotonic()
        self._mine = threading.local()
        self._open: set[sqlite3.Connection] = set()
        # Twice as long as SQLite itself waits for a lock: only a hanging disk takes longer.
        seconds = 2 * busy_seconds + 1
        self._waiting = BoundedWaiting(WAITING_MAX, seconds, f"calls wait for {path.name}")
        self._rows = Reads(path.name, self._readers, READERS, self._row, seconds)

    async def open(self) -> None:
        """Create the file or bring it to this release's version, in one transaction.

        Raises `StartRefused` when it cannot be used, or was written by a newer release.
        """
        newest = len(self._schema)

        def prepare(db: sqlite3.Connection) -> None:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > newest:
                raise StartRefused(
                    f"{self.path} was written by a newer Chat4All (its version is {version}, this "
                    f"release knows {newest}): update Chat4All, or name another folder "
                    "with --data"
                )
            if version < newest and self._guest:
                raise StartRefused(
                    f"{self.path} is in use by an older Chat4All (its version is {version}, this "
                    f"release's {newest}): start that one again with this release first"
                )
            for step in self._schema[version:]:
                for statement in step.split(";"):
                    db.execute(statement)
            if version < newest:
                db.execute(f"PRAGMA user_version = {newest}")

        try:
            await self.write(prepare)
        except Unavailable as error:
            raise StartRefused(
                f"{self.path} cannot be used ({error}): make it writable, or name another folder "
                "with --data"
            ) from error

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the writer thread, in one transaction, and return once it is durable."""
        return await self._run(self._writer, self._transaction, work, True)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a reader thread, against one state of the file."""
        return await self._run(self._readers, self._transaction, work, False)

    async def write_one(self, statement: str, values: Sequence[object]) -> int:
        """Run one INSERT as a transaction of its own; return the last row's number.

        The whole transaction, its sync included, is one call into SQLite without the interpreter's
        lock. Row by row, the thread would wait for that lock each time while the event loop is
        busy.
        """
        return await self._run(
            self._writer,
            self._statement,
            lambda db: db.execute(statement, values).lastrowid or 0,
            True,
        )

    async def read_one(self, query: str, values: Mapping[str, object]) -> Any:
        """Return the one row of a query, which sees one state of the file; see `write_one`."""
        return await self._rows.fetch(query, values)

    async def close(self) -> None:
        """Finish running calls and close the file."""
        await self._rows.close()
        for executor in (self._readers, self._writer):
            await asyncio.to_thread(executor.shutdown)
        for connection in self._open:
            connection.close()
        self._open.clear()

    async def _run(
        self,
        executor: ThreadPoolExecutor,
        call: Callable[[Callable[[sqlite3.Connection], T], bool], T],
        work: Callable[[sqlite3.Connection], T],
        writing: bool,
    ) -> T:
        submitted = self._waiting.in_thread(executor, call, work, writing)
        if writing and not self._guest:
            self._checkpoint_now_and_then()
        try:
            return await submitted
        except TimeoutError:
            raise Unavailable(f"{self.path.name} does not answer") from None

    def _checkpoint_now_and_then(self) -> None:
        """Checkpoint periodically, between two commits instead of during one.

        In the writer itself: SQLite before 3.51.3 can damage a file when one connection checkpoints
        while another restarts the write-ahead log (its "WAL-reset bug").
        """
        now = time.monotonic()
        if now >= self._checkpointed + CHECKPOINT_SECONDS:
            self._checkpointed = now
            self._writer.submit(self._checkpoint)

    def _checkpoint(self) -> None:
        """Checkpoint as far as readers allow; the next checkpoint does the rest."""
        try:
            self._connection(writing=True).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error:
            # Nothing is lost: commits stay in the write-ahead log.
            self._discard()
            _log.warning("checkpoint failed", extra={"file": self.path.name}, exc_info=True)

    def _transaction(self, work: Callable[[sqlite3.Connection], T], writing: bool) -> T:
        def transaction(db: sqlite3.Connection) -> T:
            db.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
            result = work(db)
            db.execute("COMMIT")
            return result

        return self._statement(transaction, writing)

    def _row(self, query: str, values: Mapping[str, object]) -> Any:
        return self._statement(lambda db: db.execute(query, values).fetchone(), writing=False)

    def _statement(self, work: Callable[[sqlite3.Connection], T], writing: bool) -> T:
        self._present.check()
        try:
            return work(self._connection(writing))
        except sqlite3.Error as error:
            self._discard()
            self._present.check(at_once=True)  # a file that is gone is the better reason
            # SQLite's own short texts: "disk I/O error", "database or disk is full", ...
            raise Unavailable(f"{self.path.name}: {error}") from error
        except BaseException:
            self._discard()
            raise

    def _connection(self, writing: bool) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if db is None:
            db = read_write(
                self.path,
                self._present,
                timeout=self._busy_seconds,
                cached_statements=STATEMENTS,
                # Each is used by one thread only, except for the last call, `close`.
                check_same_thread=False,
            )
            self._mine.connection = db
            self._open.add(db)
            if writing:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA wal_autocheckpoint = 0")
                db.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
                if self._overwrite_deleted:
                    db.execute("PRAGMA secure_delete = ON").fetchall()
            else:
                db.execute("PRAGMA query_only = ON")
        return db

    def _discard(self) -> None:
        db: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if db is not None:
            self._mine.connection = None
            self._open.discard(db)
            db.close()
