"""How the SQL adapters use SQLite: durability, queues, and error texts."""

import asyncio
import importlib.util
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql import Database, SqlUsers, engine, upgrade
from chat4all.adapters.sql.tables import users
from chat4all.domain.errors import OutcomeUnknown, Overloaded, Unavailable
from chat4all.domain.ids import Username
from chat4all.domain.people import User

pytestmark = pytest.mark.anyio

DEADLINE = 10.0


def add(connection: Connection, *names: str) -> None:
    for name in names:
        row = {
            "username": name,
            "email": f"{name}@example.com",
            "email_key": f"{name}@example.com",
            "password_hash": b"a hash",
            "created_at": "2026-01-31T12:00:00.000Z",
        }
        connection.execute(insert(users), row)


def names(connection: Connection) -> set[str]:
    return set(connection.execute(select(users.c.username)).scalars())


def adding(*them: str) -> Callable[[Connection], None]:
    return lambda connection: add(connection, *them)


def pragma(name: str) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(text(f"PRAGMA {name}")).scalar()


class Halt:
    """A function for a thread of the database, which waits there until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self, connection: Connection) -> None:
        self.begun.set()
        assert self.go.wait(DEADLINE)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, DEADLINE)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = Database(tmp_path / "metadata.db")
    await upgrade(found)
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)]
)
async def test_every_connection_is_durable_and_checks_keys(
    database: Database, name: str, value: object
) -> None:
    assert await database.write(pragma(name)) == value
    # Each reader waits until all of them are here: that is every connection there is.
    together = threading.Barrier(engine.READERS)

    def read(connection: Connection) -> object:
        together.wait(DEADLINE)
        return pragma(name)(connection)

    found = await asyncio.gather(*[database.read(read) for _ in range(engine.READERS)])
    assert found == [value] * engine.READERS


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def write(connection: Connection) -> None:
        add(connection, "ana")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(write)
    assert await database.read(names) == set()


async def test_a_writer_holds_the_lock_before_it_reads(database: Database) -> None:
    def write(connection: Connection) -> None:
        other = sqlite3.connect(database.path, timeout=0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
        finally:
            other.close()

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        await database.write(write)


async def test_a_reader_sees_one_state_of_the_file(database: Database) -> None:
    await database.write(adding("ana"))

    def read(connection: Connection) -> tuple[set[str], set[str]]:
        before = names(connection)
        other = sqlite3.connect(database.path)
        with other:
            other.execute("DELETE FROM users")
        other.close()
        return before, names(connection)

    assert await database.read(read) == ({"ana"}, {"ana"})
    assert await database.read(names) == set()


async def test_a_transaction_whose_caller_is_cancelled_ends_whole(database: Database) -> None:
    halt = Halt()

    def write(connection: Connection) -> None:
        add(connection, "ana")
        halt(connection)
        add(connection, "bruno")

    writing = asyncio.create_task(database.write(write))
    await halt.has_begun()
    writing.cancel()
    # Cancelled at once, and not an error of the driver in its place.
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await database.read(names) == set()
    halt.go.set()
    await database.write(adding("carla"))
    assert await database.read(names) == {"ana", "bruno", "carla"}


async def test_a_transaction_that_fails_after_its_caller_was_cancelled_leaves_nothing(
    database: Database,
) -> None:
    halt = Halt()

    def write(connection: Connection) -> None:
        add(connection, "ana")
        halt(connection)
        add(connection, "ana")

    writing = asyncio.create_task(database.write(write))
    await halt.has_begun()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    halt.go.set()
    await database.write(adding("carla"))
    assert await database.read(names) == {"carla"}


async def test_cancelled_callers_leave_every_connection_usable(database: Database) -> None:
    halts = [Halt() for _ in range(engine.READERS)]
    reading = [asyncio.create_task(database.read(halt)) for halt in halts]
    for halt in halts:
        await halt.has_begun()
    for task in reading:
        task.cancel()
    assert await asyncio.wait(reading, timeout=DEADLINE) == (set(reading), set())
    for halt in halts:
        halt.go.set()
    together = threading.Barrier(engine.READERS)
    again = [database.read(lambda _: together.wait(DEADLINE)) for _ in range(engine.READERS)]
    assert sorted(await asyncio.gather(*again)) == list(range(engine.READERS))


async def test_reading_goes_on_while_another_process_keeps_writers_waiting(
    database: Database,
) -> None:
    users = SqlUsers(database)
    other = sqlite3.connect(database.path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        writing = [
            asyncio.create_task(users.add_user(User(Username(n), f"{n}@x.org", ""), b""))
            for n in "abcdefgh"
        ]
        await asyncio.sleep(0)  # every writer has asked for its turn
        assert await database.read(names) == set()
        assert not any(task.done() for task in writing)
        other.execute("ROLLBACK")
        await asyncio.gather(*writing)
    finally:
        other.close()
    assert await database.read(names) == set("abcdefgh")


async def test_waiting_ends_and_what_has_not_begun_by_then_never_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WAIT_SECONDS", 0.05)
    database = Database(tmp_path / "metadata.db", busy_seconds=0)
    halt, began = Halt(), threading.Event()
    holding = asyncio.create_task(database.write(halt))
    await halt.has_begun()
    with pytest.raises(Unavailable, match=r"^metadata\.db does not answer$") as told:
        await database.write(lambda _: began.set())
    assert not isinstance(told.value, OutcomeUnknown)
    with pytest.raises(OutcomeUnknown, match=r"^metadata\.db does not answer$"):
        await holding  # it goes on, and may be committed yet
    halt.go.set()
    await database.close()  # after everything that waits
    assert not began.is_set()


async def test_reading_has_no_unknown_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WAIT_SECONDS", 0.05)
    database = Database(tmp_path / "metadata.db", busy_seconds=0)
    halt = Halt()
    with pytest.raises(Unavailable) as told:
        await database.read(halt)
    assert not isinstance(told.value, OutcomeUnknown)
    halt.go.set()
    await database.close()


async def test_a_commit_that_fails_is_of_unknown_outcome(database: Database) -> None:
    """An error of the work itself is not: it was rolled back."""

    def fail_at_commit(connection: Connection) -> None:
        add(connection, "ana")
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_authorizer(
            lambda action, what, *_: (
                sqlite3.SQLITE_DENY
                if (action, what) == (sqlite3.SQLITE_TRANSACTION, "COMMIT")
                else sqlite3.SQLITE_OK
            )
        )

    with pytest.raises(OutcomeUnknown):
        await database.write(fail_at_commit)
    with pytest.raises(Unavailable) as told:
        await database.write(lambda connection: connection.execute(text("SELECT * FROM absent")))
    assert not isinstance(told.value, OutcomeUnknown)


async def test_one_more_than_may_wait_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WAITING_MAX", 2)
    database = Database(tmp_path / "metadata.db")
    halt = Halt()
    writing = [asyncio.create_task(database.write(work)) for work in (halt, lambda _: None)]
    await halt.has_begun()
    with pytest.raises(Overloaded):
        await database.write(lambda _: None)
    assert await database.read(lambda _: "read") == "read"
    halt.go.set()
    await asyncio.gather(*writing)
    await database.write(lambda _: None)
    await database.close()


async def test_a_lock_is_waited_for_as_long_as_was_said(tmp_path: Path) -> None:
    database = Database(tmp_path / "metadata.db", busy_seconds=0)
    await upgrade(database)
    for run in (database.write, database.read):
        assert await run(pragma("busy_timeout")) == 0
    await database.close()


async def test_after_an_error_of_the_driver_the_connection_is_a_new_one(database: Database) -> None:
    def driver(connection: Connection) -> object:
        return connection.connection.driver_connection

    def fail(connection: Connection) -> None:
        add(connection, "ana")
        connection.execute(text("SELECT * FROM absent"))

    before = await database.write(driver)
    assert await database.write(driver) is before
    with pytest.raises(Unavailable, match=r"^metadata\.db: no such table: absent$"):
        await database.write(fail)
    assert await database.write(driver) is not before
    assert await database.read(names) == set()


async def test_an_error_shows_no_values(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught:
        await database.write(adding("ana", "ana"))
    assert "example.com" not in str(caught.value)


@pytest.mark.slow
def test_one_machine_loads_neither_the_orm_nor_asyncio_for_sqlalchemy() -> None:
    unwanted = (
        "sqlalchemy.orm",
        "sqlalchemy.ext.asyncio",
        "sqlalchemy.dialects.postgresql",
        "greenlet",
        "aiosqlite",
        "asyncpg",
        "aiohttp",
    )
    # They are here to be loaded: without them the test would say nothing.
    for name in ("greenlet", "asyncpg", "aiohttp"):
        assert importlib.util.find_spec(name) is not None
    start = (
        f"import chat4all.processes.one_machine, sys; print(sys.modules.keys() & set({unwanted}))"
    )
    found = subprocess.check_output([sys.executable, "-c", start], text=True)
    assert found.strip() == "set()"


def test_the_one_machine_install_has_nothing_for_servers() -> None:
    locked = Path("requirements/run.txt").read_text()
    names = {line.partition("==")[0] for line in locked.splitlines() if "==" in line}
    assert "sqlalchemy" in names
    assert not names & {"asyncpg", "greenlet", "aiohttp", "sqlalchemy-cockroachdb"}
