"""Migrating the directory's tables."""

import uuid
from pathlib import Path

from sqlalchemy import Connection, insert, inspect, select, text

from chat4all.adapters.sql.engine import Database
from chat4all.adapters.sql.tables import installation, metadata
from chat4all.domain.errors import StartRefused, Unavailable

NEWEST = "0009"
"""Alembic's head, without loading Alembic, which takes longer than the rest of a start."""


async def upgrade(database: Database) -> None:
    """Run the migrations that are missing; does nothing when there are none.

    An empty database gets the current tables at once, without Alembic; a test compares the two
    ways. Raises `StartRefused` for a database of a later release or one
    that cannot be used.
    """

    def bring_up(connection: Connection) -> None:
        if _is_empty(connection):
            _create(connection)
        else:
            migrate(connection, database.path)

    try:
        if await database.read(revision) != NEWEST:
            await database.write(bring_up)
    except Unavailable as error:
        raise StartRefused(
            f"{database.path} cannot be used ({error}): make it writable, or name another folder "
            "with --data"
        ) from error


def revision(connection: Connection) -> str | None:
    """Return the revision that a database is at; None for one without Chat4All's tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    # There may be an older one too; see `server_schema`.
    return connection.execute(text("SELECT max(version_num) FROM alembic_version")).scalar()


def read_id(connection: Connection) -> str | None:
    """Return which installation a database is of; None before it was said."""
    found: str | None = connection.execute(select(installation.c.installation_id)).scalar()
    return found


def give_id(connection: Connection) -> None:
    """Give a database an id unless it has one; `IntegrityError` when another does so meanwhile."""
    if read_id(connection) is None:
        row = {"only_row": 1, "installation_id": str(uuid.uuid4())}
        connection.execute(insert(installation), row)


def _is_empty(connection: Connection) -> bool:
    return not inspect(connection).get_table_names()


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:newest)"), {"newest": NEWEST})


def migrate(connection: Connection, path: Path) -> None:
    """Migrate a file's tables by Alembic, whatever state they are in."""
    run_alembic(
        connection,
        f"{path} was written by a newer Chat4All: update Chat4All, or name another folder "
        "with --data",
    )


def run_alembic(connection: Connection, newer: str) -> None:
    """Run the migrations that are missing. Raises `StartRefused(newer)` for an unknown revision."""
    from alembic import command  # noqa: PLC0415 - see NEWEST
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script.revision import ResolutionError  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise  # a broken installation, which a newer release does not fix
        raise StartRefused(newer) from error
