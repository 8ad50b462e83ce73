"""How the SQL adapters use SQLite: what is durable, who waits for whom, what an error shows."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql import Database, SqlDirectory, engine, upgrade
from chat4all.adapters.sql.tables import users
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import Username
from chat4all.domain.people import User

pytestmark = pytest.mark.anyio


def row(name: str) -> dict[str, object]:
    return {
        "username": name,
        "email": f"{name}@example.com",
        "email_key": f"{name}@example.com",
        "password_hash": b"a hash",
        "created_at": "2026-01-31T12:00:00.000Z",
    }


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = Database(tmp_path / "metadata.db")
    await upgrade(found)
    yield found
    await found.close()


async def names(database: Database) -> set[str]:
    async with database.read() as connection:
        return set((await connection.execute(select(users.c.username))).scalars())


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)]
)
async def test_every_connection_is_durable_and_checks_keys(
    database: Database, pragma: str, value: object
) -> None:
    for transaction in (database.read, database.write):
        async with transaction() as connection:
            assert (await connection.execute(text(f"PRAGMA {pragma}"))).scalar() == value


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def write() -> None:
        async with database.write() as connection:
            await connection.execute(insert(users).values(row("ana")))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write()
    assert await names(database) == set()


async def test_a_cancelled_transaction_is_cancelled_and_leaves_nothing(database: Database) -> None:
    async def write() -> None:
        async with database.write() as connection:
            await connection.execute(insert(users).values(row("ana")))
            this = asyncio.current_task()
            assert this is not None
            this.cancel()
            await connection.execute(insert(users).values(row("bruno")))

    # Cancelled, and not an error of the driver in its place.
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(write())
    async with database.write() as connection:
        await connection.execute(insert(users).values(row("carla")))
    assert await names(database) == {"carla"}


async def test_reading_goes_on_while_another_process_keeps_writers_waiting(
    database: Database,
) -> None:
    directory = SqlDirectory(database)
    other = sqlite3.connect(database.path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        writing = [
            asyncio.create_task(directory.add_user(User(Username(n), f"{n}@x.org", ""), b""))
            for n in "abcdefgh"
        ]
        await asyncio.sleep(0)  # every writer has asked for its connection
        assert await names(database) == set()
        assert not any(task.done() for task in writing)
        other.execute("ROLLBACK")
        await asyncio.gather(*writing)
    finally:
        other.close()
    assert await names(database) == set("abcdefgh")


async def test_waiting_for_a_connection_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WAIT_SECONDS", 0.05)
    database = Database(tmp_path / "metadata.db")
    async with database.write():
        with pytest.raises(Unavailable, match="no connection is free"):
            async with database.write():
                pass
    await database.close()


async def test_a_lock_is_waited_for_as_long_as_was_said(tmp_path: Path) -> None:
    database = Database(tmp_path / "metadata.db", busy_seconds=0)
    await upgrade(database)
    async with database.write() as connection:
        wait = (await connection.execute(text("PRAGMA busy_timeout"))).scalar()
    await database.close()
    assert wait == 0


async def test_an_error_shows_no_values(database: Database) -> None:
    async def write() -> None:
        async with database.write() as connection:
            for _ in range(2):
                await connection.execute(insert(users).values(row("ana")))

    with pytest.raises(IntegrityError) as caught:
        await write()
    assert "example.com" not in str(caught.value)
