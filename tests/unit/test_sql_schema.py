"""The directory's migrations."""

import importlib
import io
import pkgutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import (
    BinaryExpression,
    ClauseElement,
    Connection,
    Delete,
    Insert,
    Over,
    Select,
    String,
    UnaryExpression,
    Update,
    event,
    inspect,
    text,
)
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.sql.operators import ge, gt, le, lt
from sqlalchemy.sql.visitors import iterate
from sqlalchemy_cockroachdb.asyncpg import CockroachDBDialect_asyncpg

from chat4all.adapters import sql
from chat4all.adapters.sql import (
    Database,
    conversation_rows,
    schema,
    upgrade,
    users,
)
from chat4all.adapters.sql.schema import NEWEST
from chat4all.adapters.sql.tables import metadata
from chat4all.adapters.sql.types import ByBytes
from chat4all.domain.errors import StartRefused
from chat4all.domain.ids import Username
from chat4all.domain.people import User

pytestmark = pytest.mark.anyio


def revisions() -> list[str]:
    """Return every revision, the newest first."""
    config = Config()
    folder = Path(sql.__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder))
    return [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()]


def test_the_newest_revision_is_alembics() -> None:
    assert revisions()[0] == max(revisions()) == NEWEST


def differences(connection: Connection) -> object:
    return compare_metadata(MigrationContext.configure(connection), metadata)


async def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
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


@pytest.mark.slow
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


def test_the_migrations_compile_for_cockroachdb() -> None:
    """What Alembic would send: only what CockroachDB has, and no transaction around it all."""
    output = io.StringIO()
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(Path(sql.__file__).with_name("migrations")))
    config.set_main_option("sqlalchemy.url", "cockroachdb+asyncpg://")
    command.upgrade(config, "head", sql=True)
    statements = [s.strip() for s in output.getvalue().split(";") if s.strip()]
    tables = [s for s in statements if "CREATE TABLE IF NOT EXISTS" in s]
    assert len(tables) == len(metadata.tables)
    for statement in statements:
        for absent in ("SERIAL", "SEQUENCE", "IDENTITY", "BEGIN", "LOCK", "TRIGGER", " JSON "):
            assert absent not in statement.upper()
    # Changes of tables and of rows in statements of their own, each harmless when repeated.
    for statement in statements:
        body = "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
        assert body.strip().startswith(
            (
                "CREATE TABLE IF NOT EXISTS",
                "CREATE INDEX IF NOT EXISTS",
                "CREATE UNIQUE INDEX IF NOT EXISTS",
                "ALTER TABLE users ADD COLUMN IF NOT EXISTS",
                "ALTER TABLE conversations ADD COLUMN IF NOT EXISTS",
                "ALTER TABLE members ADD COLUMN IF NOT EXISTS",
                "ALTER TABLE sessions ADD COLUMN IF NOT EXISTS",
                "ALTER TABLE audit ADD COLUMN IF NOT EXISTS",
                "CREATE TABLE alembic_version",
                "INSERT INTO alembic_version",
                "UPDATE alembic_version",
            )
        ), body


def statements() -> list[Select[Any] | Insert | Update | Delete]:
    """Return the statements of all modules of the adapter."""
    modules = [
        importlib.import_module(f"{sql.__name__}.{found.name}")
        for found in pkgutil.iter_modules(sql.__path__)
    ]
    return [
        conversation_rows._first_members(2, 3),
        *(
            value
            for module in modules
            for value in vars(module).values()
            if isinstance(value, Select | Insert | Update | Delete)
        ),
    ]


def is_bare_text(part: ClauseElement) -> bool:
    """Whether PostgreSQL would sort or compare this as its locale says."""
    while isinstance(part, UnaryExpression):
        part = part.element  # of DESC
    return not isinstance(part, ByBytes) and isinstance(getattr(part, "type", None), String)


def test_no_order_depends_on_the_locale_of_the_database() -> None:
    bare, ordered = [], 0
    for statement in statements():
        for part in iterate(statement):
            if isinstance(part, BinaryExpression) and part.operator in (lt, le, gt, ge):
                sorted_by: list[Any] = [part.left]
            elif isinstance(part, Select):
                sorted_by = list(part._order_by_clauses)
            elif isinstance(part, Over):
                sorted_by = [] if part.order_by is None else list(part.order_by)
            else:
                continue
            ordered += len(sorted_by)
            bare += [str(statement) for one in sorted_by if is_bare_text(one)]
    assert bare == []
    assert ordered > 15


def test_only_postgresql_is_told_how_to_sort() -> None:
    dialects: list[Any] = [PGDialect_asyncpg, CockroachDBDialect_asyncpg, SQLiteDialect]
    said = {
        dialect.name: 'COLLATE "C"' in str(users._FIND.compile(dialect=dialect()))
        for dialect in dialects
    }
    assert said == {"postgresql": True, "cockroachdb": False, "sqlite": False}


def test_the_queries_compile_for_cockroachdb() -> None:
    dialect = CockroachDBDialect_asyncpg()
    assert len(statements()) > 40
    for statement in statements():
        columns = statement.table.columns.keys() if isinstance(statement, Insert) else None
        assert str(statement.compile(dialect=dialect, column_keys=columns))


@pytest.mark.parametrize("release", revisions()[1:])
async def test_a_directory_of_an_earlier_release_keeps_every_row(
    tmp_path: Path, release: str
) -> None:
    path = tmp_path / "metadata.db"

    def as_it_was(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(sql.__file__).with_name("migrations")))
        config.attributes["connection"] = connection
        command.upgrade(config, release)
        for statement in (
            "INSERT INTO users (username, email, email_key, password_hash, created_at)"
            " VALUES ('ana', 'Ana@x.org', 'ana@x.org', x'61', '2026-01-31T12:00:00.000Z')",
            "INSERT INTO sessions (session_id, username, expires_at)"
            " VALUES ('a session', 'ana', 9999999999)",
        ):
            connection.execute(text(statement))

    database = Database(path)
    await database.write(as_it_was)
    await upgrade(database)
    assert await database.read(differences) == []
    users, kept = sql.SqlUsers(database), sql.SqlSessions(database)
    ana = Username("ana")
    assert await users.user(ana) == User(ana, "Ana@x.org", "2026-01-31T12:00:00.000Z")
    assert await users.password_hash(ana) == b"a"
    assert [one.session_id for one in await kept.of_user(ana)] == ["a session"]
    await users.add_user(User(Username("bruno"), "bruno@example.com", ""), b"hash")
    await database.close()


async def test_a_name_that_changes_while_keys_are_made_keeps_its_key(tmp_path: Path) -> None:
    """A server's migration runs while the release before serves."""
    config = Config()
    config.set_main_option("script_location", str(Path(sql.__file__).with_name("migrations")))
    renamed = "UPDATE users SET display_name = 'Novo', display_key = 'novo'"

    def rename(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        if statement.startswith("UPDATE users SET display_key"):
            cursor.execute(renamed)

    def migrated(connection: Connection) -> Any:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        connection.execute(
            text(
                "INSERT INTO users (username, email, email_key, password_hash, created_at,"
                " display_name) VALUES ('ana', 'a@x.org', 'a@x.org', x'61', '', 'Ana')"
            )
        )
        event.listen(connection, "before_cursor_execute", rename)
        command.upgrade(config, "0007")
        event.remove(connection, "before_cursor_execute", rename)
        return connection.execute(text("SELECT display_name, display_key FROM users")).one()

    database = Database(tmp_path / "metadata.db")
    assert tuple(await database.write(migrated)) == ("Novo", "novo")
    await database.close()
