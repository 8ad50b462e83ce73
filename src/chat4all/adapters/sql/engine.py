"""The SQLAlchemy engine, its transactions, and what its errors mean."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from chat4all.domain.errors import Unavailable

READERS = 4
WAIT_SECONDS = 5.0
"""How long a caller waits for a connection, which for a writer is its turn to write."""


class Database:
    """One SQLite file. Writing transactions take the write lock at once, reading ones never.

    One connection writes and others read. Our own writers queue for theirs, first come, first
    served: SQLite's busy wait serves whoever wakes at the right moment, and starves the rest. When
    another process holds the lock, they cannot use up the connections that reading needs.
    """

    def __init__(self, path: Path, *, busy_seconds: float = 5.0) -> None:
        self.path = path
        self._writer = _engine(path, 1, busy_seconds)
        self._readers = _engine(path, READERS, busy_seconds)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Read, statement by statement."""
        async with self._errors(), self._readers.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Run one transaction; it is durable when the context has been left without an error.

        SQLite would otherwise take the lock at the first write, when another's may have made what
        was read before it untrue.
        """
        async with self._errors(), self._writer.connect() as connection:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            await connection.exec_driver_sql("COMMIT")
            # What does not get here is rolled back by the pool (`pool_reset_on_return`), which also
            # knows what to do with a connection whose statement was cancelled half-way.

    async def close(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        await self._readers.dispose()

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            yield
        except IntegrityError:
            raise  # the caller knows which of its keys this is about
        except (DBAPIError, PoolTimeout) as error:
            cause = error.orig if isinstance(error, DBAPIError) else "no connection is free"
            raise Unavailable(f"{self.path.name}: {cause}") from error


def _engine(path: Path, size: int, busy_seconds: float) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        # SQLAlchemy begins nothing by itself: `write` says which lock a transaction takes.
        isolation_level="AUTOCOMMIT",
        pool_size=size,
        max_overflow=0,
        pool_timeout=WAIT_SECONDS,
        pool_reset_on_return="rollback",
        connect_args={"timeout": busy_seconds},
        hide_parameters=True,  # an error's text reaches the log, what people entered must not
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
