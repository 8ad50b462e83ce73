"""The SQLAlchemy engine, its transactions, and what its errors mean."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from chat4all.domain.errors import Unavailable

POOL_SIZE = 4
POOL_SECONDS = 5.0


class Database:
    """One SQLite file. Writing transactions take the write lock at once, reading ones never."""

    def __init__(self, path: Path, *, busy_seconds: float = 5.0) -> None:
        self.path = path
        self._engine = create_async_engine(
            f"sqlite+aiosqlite:///{path}",
            # SQLAlchemy begins nothing by itself: `write` says which lock a transaction takes.
            isolation_level="AUTOCOMMIT",
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=POOL_SECONDS,
            connect_args={"timeout": busy_seconds},
            hide_parameters=True,  # an error's text reaches the log, what people entered must not
        )
        event.listen(self._engine.sync_engine, "connect", _prepare)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Read, statement by statement."""
        async with self._errors(), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Run one transaction; it is durable when the context has been left without an error.

        SQLite would otherwise take the lock at the first write, when another's may have made what
        was read before it untrue.
        """
        async with self._errors(), self._engine.connect() as connection:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
                await connection.exec_driver_sql("COMMIT")
            except BaseException:
                with suppress(DBAPIError):  # a COMMIT that failed may have rolled back already
                    await connection.exec_driver_sql("ROLLBACK")
                raise

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            yield
        except IntegrityError:
            raise  # the caller knows which of its keys this is about
        except (DBAPIError, PoolTimeout) as error:
            cause = error.orig if isinstance(error, DBAPIError) else "no connection is free"
            raise Unavailable(f"{self.path.name}: {cause}") from error


def _prepare(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
