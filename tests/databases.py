"""Databases of tests' own: a file each, or one on a PostgreSQL server that all tests share."""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from urllib.parse import urlsplit

import asyncpg

from chat4all.adapters.sql import Database, upgrade
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.server_schema import upgrade_server
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.urls import ServerUrl
from engines import PostgresServer

T = TypeVar("T")


@dataclass
class Place:
    """An empty database with its tables."""

    database: Transactions
    locked: Callable[[], AbstractAsyncContextManager[None]]
    """A context in which nobody can add users."""


@asynccontextmanager
async def place_at(where: Path | ServerUrl) -> AsyncIterator[Place]:
    """Open a database; a file gets its tables here, on a server they are there."""
    database: Database | ServerDatabase
    if isinstance(where, Path):
        make_tables(where)
        database = Database(where, busy_seconds=0.1)
        locked = lambda: _locked_file(where)  # noqa: E731
    else:
        database = ServerDatabase(where)
        locked = lambda: _locked_table(where)  # noqa: E731
    try:
        yield Place(database, locked)
    finally:
        await database.close()


def make_tables(where: Path) -> None:
    """Make the file with its tables, unless it is there."""
    if not where.exists():
        where.write_bytes(_file_with_tables())


@cache
def _file_with_tables() -> bytes:
    """Making the tables takes longer than most tests: it is done once in a process."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.db"

        async def run() -> None:
            database = Database(path)
            await upgrade(database)
            await database.close()

        in_thread(run)
        return path.read_bytes()


@asynccontextmanager
async def _locked_file(path: Path) -> AsyncIterator[None]:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@asynccontextmanager
async def _locked_table(url: ServerUrl) -> AsyncIterator[None]:
    other = await asyncpg.connect(url.dsn)
    async with other.transaction():
        await other.execute("LOCK TABLE users IN EXCLUSIVE MODE")
        yield
    await other.close()


class Databases:
    """A server, and databases with all tables on it, as many as are wanted."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._numbers = itertools.count(1)
        self._made: list[str] = []
        self._template = server.create_database("template_with_tables")
        in_thread(lambda: upgrade_server(ServerUrl("postgresql", self._template)))

    def new(self, dialect: str = "postgresql") -> ServerUrl:
        """Make an empty database with its tables."""
        name = self._name()
        self._do(f"CREATE DATABASE {name} TEMPLATE template_with_tables")
        return ServerUrl(dialect, self.server.url(name))

    def empty(self, dialect: str = "postgresql") -> ServerUrl:
        """Make a database without tables."""
        return ServerUrl(dialect, self.server.create_database(self._name()))

    def sorted_as(self, locale: str) -> ServerUrl:
        """Make an empty database with its tables that sorts texts as a language does."""
        name = self._name()
        self._do(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' "
            f"LOCALE_PROVIDER icu ICU_LOCALE '{locale}'"
        )
        url = ServerUrl("postgresql", self.server.url(name))
        in_thread(lambda: upgrade_server(url))
        return url

    def remake(self, url: ServerUrl) -> None:
        """Drop a database under whoever uses it, and make an empty one with its tables."""
        name = urlsplit(url.dsn).path.removeprefix("/")
        self._do(f"DROP DATABASE {name} WITH (FORCE)")
        self._do(f"CREATE DATABASE {name}")
        in_thread(lambda: upgrade_server(url))

    def drop_all(self) -> None:
        """Drop every database that was made."""
        for name in self._made:
            self._do(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.clear()

    def _name(self) -> str:
        self._made.append(f"test_{next(self._numbers)}")
        return self._made[-1]

    def _do(self, statement: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.server.url())
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        in_thread(run)


@contextmanager
def serving(folder: Path) -> Iterator[Databases]:
    """Start a server, and kill it at the end; a kill in between loses nothing."""
    with PostgresServer(folder, synced=False) as server:
        yield Databases(server)


def in_thread(work: Callable[[], Awaitable[T]]) -> T:
    """Run something on an event loop of its own, beside one that may be there."""

    async def run() -> T:
        return await work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run()).result(60)
