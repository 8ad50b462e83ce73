"""The directory's migrations."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from chat4all.adapters import sql
from chat4all.adapters.sql import Database, schema, upgrade
from chat4all.adapters.sql.tables import metadata
from chat4all.domain.errors import StartRefused

pytestmark = pytest.mark.anyio


def test_the_newest_revision_is_alembics() -> None:
    config = Config()
    folder = Path(sql.__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.NEWEST


async def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    def keys(connection: Connection) -> object:
        # Alembic does not compare primary keys, and they decide every race.
        found = inspect(connection)
        return {name: found.get_pk_constraint(name) for name in metadata.tables}

    def version(connection: Connection) -> object:
        return connection.execute(text("SELECT * FROM alembic_version")).all()

    migrated, created = Database(tmp_path / "migrated.db"), Database(tmp_path / "created.db")
    await migrated.write(lambda connection: schema.migrate(connection, migrated.path))
    await upgrade(created)
    found = []
    for database in (migrated, created):
        await upgrade(database)
        assert await database.read(differences) == []
        found.append((await database.read(keys), await database.read(version)))
        await database.close()
    assert found[0] == found[1]


async def test_a_newer_revision_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "metadata.db")
    await upgrade(database)
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    await database.write(lambda connection: connection.execute(newer).rowcount)
    with pytest.raises(StartRefused, match="newer Chat4All"):
        await upgrade(database)
    await database.close()


async def test_migrations_that_are_missing_are_not_taken_for_a_newer_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "__file__", str(tmp_path / "schema.py"))
    database = Database(tmp_path / "metadata.db")
    empty = text("CREATE TABLE alembic_version (version_num VARCHAR(32))")
    await database.write(lambda connection: connection.execute(empty).rowcount)
    with pytest.raises(CommandError, match="migrations"):
        await upgrade(database)
    await database.close()


def test_a_start_that_has_nothing_to_migrate_does_not_load_alembic(tmp_path: Path) -> None:
    start = (
        "import asyncio, pathlib, sys\n"
        "from chat4all.adapters.sql import Database, upgrade\n"
        "async def main():\n"
        "    database = Database(pathlib.Path(sys.argv[1]))\n"
        "    await upgrade(database)\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
        "print('alembic' in sys.modules)\n"
    )
    command = [sys.executable, "-c", start, str(tmp_path / "metadata.db")]
    first, second = (subprocess.check_output(command, text=True).strip() for _ in range(2))
    assert (first, second) == ("False", "False")
    with closing(sqlite3.connect(tmp_path / "metadata.db")) as db, db:
        db.execute("DELETE FROM alembic_version")
    assert subprocess.check_output(command, text=True).strip() == "True"
