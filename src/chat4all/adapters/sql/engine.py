"""One SQLite file behind an event loop, by SQLAlchemy: its threads, transactions and errors."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.sqlite_files import read_write
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import OutcomeUnknown, Unavailable

T = TypeVar("T")

READERS = 4
"""Threads that read."""

WRITER = "writer"

WAITING_MAX = 1_000
"""Calls that may wait for the writer, and for the readers; one more is refused at once."""

WAIT_SECONDS = 5.0
"""How long a caller waits, in addition to SQLite's own wait for another process's lock."""


class Database:
    """One SQLite file: short functions of a `sqlalchemy.Connection`, run in threads.

    One connection writes and others read. Our own writers queue for theirs, first come, first
    served: SQLite's busy wait serves the one that wakes at the right moment and starves the rest.
    While another process holds the lock, they do not use up the connections for reading.

    A function is done completely or not at all, also when its caller is cancelled, or the file does
    not answer in time: if it is running in a thread by then it continues to its end, which the
    caller does not learn, as in a crash: one that writes is `OutcomeUnknown`, as it is when the
    commit fails. Otherwise it never begins.
    `IntegrityError` passes: the caller knows which of its keys it is about. Any other error of the
    driver is `Unavailable`. So is any call once one of the files in `present` is gone.
    """

    def __init__(
        self, path: Path, *, busy_seconds: float = 5.0, present: PresentFiles | None = None
    ) -> None:
        self.path = path
        present = present or PresentFiles()
        # By default SQLite takes the lock at the first write, when another write may have made
        # earlier reads stale.
        self._writer = _Threads(path, present, WRITER, 1, "BEGIN IMMEDIATE", busy_seconds)
        self._readers = _Threads(path, present, "reader", READERS, "BEGIN", busy_seconds)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, against one state of the file."""
        return await self._readers.run(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own; return once that is durable."""
        return await self._writer.run(work)

    async def close(self) -> None:
        """Finish running calls and close every connection."""
        for threads in (self._readers, self._writer):
            await asyncio.to_thread(threads.close)


class _Threads:
    """A thread for each connection; all transactions begin with the same statement."""

    def __init__(
        self,
        path: Path,
        present: PresentFiles,
        name: str,
        size: int,
        begin: str,
        busy_seconds: float,
    ) -> None:
        self._file = path.name
        self._writes = name == WRITER
        self._present = present
        self._waiting = BoundedWaiting(
            WAITING_MAX, busy_seconds + WAIT_SECONDS, f"calls wait for {path.name}"
        )
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=f"{path.stem}-{name}")
        self._engine = _engine(path, present, size, begin, busy_seconds)

    async def run(self, work: Callable[[Connection], T]) -> T:
        turn = _Turn()
        try:
            return await self._waiting.in_thread(self._threads, self._transaction, work, turn)
        except TimeoutError:
            raise self._failure(
                f"{self._file} does not answer", may_be_done=turn.give_up()
            ) from None

    def close(self) -> None:
        self._threads.shutdown()
        self._engine.dispose()

    def _failure(self, detail: str, *, may_be_done: bool) -> Unavailable:
        return (OutcomeUnknown if may_be_done and self._writes else Unavailable)(detail)

    def _transaction(self, work: Callable[[Connection], T], turn: "_Turn") -> T:
        turn.begin()
        self._present.check()
        committing = False
        try:
            with self._engine.connect() as connection:
                try:
                    with connection.begin():
                        value = work(connection)
                        committing = True
                    return value
                except IntegrityError:
                    raise
                except DBAPIError:
                    # Only a new connection shows what a failed sync left behind.
                    connection.invalidate()
                    raise
        except IntegrityError:
            raise
        except DBAPIError as error:
            self._present.check(at_once=True)  # a file that is gone is the better reason
            # The driver's own short texts: "disk I/O error", "database is locked", ...
            detail = f"{self._file}: {error.orig}"
            raise self._failure(detail, may_be_done=committing) from error


class _Turn:
    """Whether a call has begun in its thread, or its caller gave up before: never both."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = self._given_up = False

    def begin(self) -> None:
        """Begin; raises `TimeoutError` once the caller has given up."""
        with self._lock:
            if self._given_up:
                raise TimeoutError
            self._begun = True

    def give_up(self) -> bool:
        """Let the call not begin any more; return whether it has begun."""
        with self._lock:
            self._given_up = True
            return self._begun


def _engine(
    path: Path, present: PresentFiles, size: int, begin: str, busy_seconds: float
) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        pool_size=size,
        max_overflow=0,
        # The driver begins no transaction itself: `begin` says which lock it takes.
        creator=lambda: read_write(path, present, timeout=busy_seconds, check_same_thread=False),
        hide_parameters=True,  # the error's text is logged, users' data must not be
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _prepare(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
