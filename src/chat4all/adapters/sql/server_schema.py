"""Migrating the tables on a server: safe to run twice, and by two at once."""

from functools import partial

from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from chat4all.adapters.network_errors import reason_of
from chat4all.adapters.sql.schema import NEWEST, give_id, revision, run_alembic
from chat4all.adapters.sql.server import PUBLIC, make_engine, no_answer
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import Unavailable

TRIES = 10
WAIT_MAX_SECONDS = 1.0

STATEMENT_SECONDS = 300.0
"""CockroachDB changes a large table in a background job, which the statement waits for."""

# A migration that found no revision, and was overtaken by another that reached a later one, adds
# the first revision next to that. The tables are at the later one.
_FORGET_OLDER = text(
    "DELETE FROM alembic_version WHERE version_num < (SELECT max(version_num) FROM alembic_version)"
)

_NEWER = "the database was written by a newer Chat4All: update Chat4All"


async def upgrade_server(url: ServerUrl) -> None:
    """Run the migrations that are missing, and give the database an id unless it has one.

    Each statement is a transaction of its own (CockroachDB does not mix changes of tables and of
    rows in one) and does nothing if it was run before. So a migration that is cut off, or
    overtaken by another, starts again. Raises `StartRefused` for a database of a later
    release, `Unavailable` when the server does not answer.
    """
    engine = make_engine(
        url,
        statement_seconds=STATEMENT_SECONDS,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    backoff = Backoff(WAIT_MAX_SECONDS, WAIT_MAX_SECONDS, TRIES, jitter=1.0)
    temporary = (DBAPIError, OSError, CommandError)
    try:
        await retry(
            partial(_upgrade, engine), backoff, is_temporary=lambda e: isinstance(e, temporary)
        )
    except OSError as error:
        raise Unavailable(no_answer(url.without_password, reason_of(error)), PUBLIC) from error
    except (DBAPIError, CommandError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise Unavailable(f"{url.without_password}: {cause}", PUBLIC) from error
    finally:
        await engine.dispose()


async def check_revision(database: Transactions) -> None:
    """Return when the tables are those of this release; `Unavailable` says what to do."""
    current = await database.read(revision)
    if current is None or current < NEWEST:
        raise Unavailable("the database is not up to date: run `chat4all migrate`")
    if current > NEWEST:
        raise Unavailable(_NEWER)


async def _upgrade(engine: AsyncEngine) -> None:
    def run(connection: Connection) -> None:
        if revision(connection) is not None:
            connection.execute(_FORGET_OLDER)
        if revision(connection) != NEWEST:
            run_alembic(connection, _NEWER)
        give_id(connection)

    async with engine.connect() as connection:
        await connection.run_sync(run)
