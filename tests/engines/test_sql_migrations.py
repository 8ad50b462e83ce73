"""Alembic on a real PostgreSQL, also through CockroachDB's dialect."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.migration import HeadMaintainer
from sqlalchemy import Connection, inspect, text

from chat4all.adapters.sql import SqlUsers, schema, server_schema
from chat4all.adapters.sql.schema import NEWEST
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.server_schema import check_revision, upgrade_server
from chat4all.adapters.sql.tables import metadata
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.domain.errors import StartRefused, Unavailable
from chat4all.domain.ids import Username
from engines import free_port
from tests.databases import Databases

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines]


def differences(connection: Connection) -> object:
    found: object = compare_metadata(MigrationContext.configure(connection), metadata)
    return found


def keys(connection: Connection) -> object:
    found = inspect(connection)
    return {name: found.get_pk_constraint(name)["constrained_columns"] for name in metadata.tables}


def versions(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())


def migrate_in_processes(url: ServerUrl, count: int = 4) -> None:
    # In processes of their own: Alembic has one state a process.
    program = (
        "import asyncio, sys\n"
        "from chat4all.adapters.sql.server_schema import upgrade_server\n"
        "from chat4all.adapters.sql.urls import ServerUrl\n"
        "sys.stdin.read()\n"
        "asyncio.run(upgrade_server(ServerUrl(*sys.argv[1:])))\n"
    )
    command = [sys.executable, "-c", program, url.dialect, url.dsn]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(count)]
    for one in running:
        assert one.stdin is not None
        one.stdin.close()
    assert [one.wait(50) for one in running] == [0] * count


@pytest.mark.parametrize("dialect", ["postgresql", "cockroachdb"])
async def test_many_who_migrate_at_once_make_the_tables(databases: Databases, dialect: str) -> None:
    url = databases.empty(dialect)
    await asyncio.to_thread(migrate_in_processes, url)
    await upgrade_server(url)
    # Columns are compared by PostgreSQL's own dialect: CockroachDB's asks for what is not there.
    database = ServerDatabase(ServerUrl("postgresql", url.dsn))
    assert await database.read(differences) == []
    expected = {
        name: [column.name for column in table.primary_key]
        for name, table in metadata.tables.items()
    }
    assert await database.read(keys) == expected
    assert await database.read(versions) == [NEWEST]
    await check_revision(database)
    await database.close()


async def test_one_who_is_overtaken_leaves_one_revision(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen an empty database; before it writes its first revision, another has done all."""
    url = databases.empty()
    write = HeadMaintainer._insert_version
    overtaken = False

    def overtake(self: HeadMaintainer, version: str) -> None:
        nonlocal overtaken
        if not overtaken:
            overtaken = True
            migrate_in_processes(url, 1)
        write(self, version)

    monkeypatch.setattr(HeadMaintainer, "_insert_version", overtake)
    await upgrade_server(url)
    assert overtaken
    database = ServerDatabase(url)
    assert await database.read(versions) == [NEWEST]
    await check_revision(database)
    await database.close()


MIGRATIONS = Path(schema.__file__).with_name("migrations")
EARLIER = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("0*.py"))[:-1]


@pytest.mark.parametrize("release", EARLIER)
@pytest.mark.parametrize("dialect", ["postgresql", "cockroachdb"])
async def test_a_database_of_an_earlier_release_is_brought_up(
    databases: Databases, dialect: str, release: str
) -> None:
    url = databases.empty(dialect)
    database = ServerDatabase(ServerUrl("postgresql", url.dsn))

    def as_it_was(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, release)
        connection.execute(
            text(
                "INSERT INTO users (username, email, email_key, password_hash, created_at)"
                " VALUES ('ana', 'ana@x.org', 'ana@x.org', 'a', '')"
            )
        )

    await database.write(as_it_was)
    await upgrade_server(url)
    assert await database.read(differences) == []
    assert await SqlUsers(database).password_hash(Username("ana")) == b"a"
    await database.close()


async def test_a_migration_that_was_cut_off_is_finished(databases: Databases) -> None:
    url = databases.empty()
    await upgrade_server(url)
    database = ServerDatabase(url)

    def cut_off(connection: Connection) -> None:
        # As after a crash between the statements of the newest one.
        connection.execute(text("DROP INDEX ix_outbox_at"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    await database.write(cut_off)
    with pytest.raises(Unavailable, match="chat4all migrate"):
        await check_revision(database)
    await upgrade_server(url)
    assert await database.read(differences) == []
    await check_revision(database)
    await database.close()


async def test_a_newer_database_and_an_empty_one_are_refused(databases: Databases) -> None:
    empty = ServerDatabase(databases.empty())
    with pytest.raises(Unavailable, match="chat4all migrate"):
        await check_revision(empty)
    await empty.close()
    url = databases.new()
    database = ServerDatabase(url)
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    await database.write(lambda connection: connection.execute(newer).rowcount)
    with pytest.raises(Unavailable, match="newer Chat4All"):
        await check_revision(database)
    with pytest.raises(StartRefused, match="newer Chat4All"):
        await upgrade_server(url)
    await database.close()


async def test_a_server_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_schema, "WAIT_MAX_SECONDS", 0.01)
    away = ServerUrl("postgresql", f"postgresql://u:very-secret@127.0.0.1:{free_port()}/d")
    with pytest.raises(Unavailable, match=r"^postgresql at 127\.0\.0\.1:\d+ does not") as told:
        await upgrade_server(away)
    assert "very-secret" not in str(told.value)
