"""Migrates a keyspace to this release's tables: numbered steps, each applied once, under a lock."""

import re
import uuid
from collections import defaultdict
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import acsylla
from acsylla.errors import CassException

from chat4all.adapters.cassandra.session import Contact, connect, describe
from chat4all.adapters.cassandra.verifying import (
    Column,
    Table,
    expected_tables,
    keyspace_troubles,
    table_troubles,
)
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import StartRefused, Unavailable

LOCK_SECONDS = 120
"""After this time the lock of a migration that was killed expires."""

LOCK_EVERY_SECONDS = 0.2
"""How often a migration looks whether another one has ended."""

STEP_SECONDS = 60.0

# Two migrations that create a table at once, through two nodes, would create two of one name; with
# a fixed id they create one. All other tables are created under this table's lock.
_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version int PRIMARY KEY, name text, holder uuid, applied_at timestamp
) WITH id = {id}
"""
_NAMES = uuid.UUID("6d1c9d0e-52f5-4e0b-9f6e-0c4a7c1d2b3f")
_LOCK = "INSERT INTO schema_migrations (version, holder) VALUES (0, ?) IF NOT EXISTS USING TTL ?"
_UNLOCK = "DELETE FROM schema_migrations WHERE version = 0 IF holder = ?"
_APPLIED = "SELECT version FROM schema_migrations"
_APPLY = (
    "INSERT INTO schema_migrations (version, name, applied_at) "
    "VALUES (?, ?, toTimestamp(now())) IF NOT EXISTS"
)

_BEGIN_GENERATION = (
    "INSERT INTO store_generation (only_row, generation) VALUES (1, ?) IF NOT EXISTS"
)

_KEYSPACE = (
    "SELECT replication, durable_writes FROM system_schema.keyspaces WHERE keyspace_name = ?"
)
_COLUMNS = (
    "SELECT table_name, column_name, kind, position, type, clustering_order "
    "FROM system_schema.columns WHERE keyspace_name = ?"
)
_TABLES = (
    "SELECT table_name, default_time_to_live FROM system_schema.tables WHERE keyspace_name = ?"
)


async def migrate(contact: Contact, *, replicas: int = 1) -> None:
    """Create the keyspace and its tables, or bring them to this release; repeating changes nothing.

    Raises `StartRefused` for a table `messages` of the original layout, and for a keyspace or a
    table that exists and is not as it would have been created; `Unavailable` when Cassandra does
    not answer or another migration does not end.
    """
    session: Any = None
    try:
        session = await connect(contact, STEP_SECONDS)
        # The name comes from a setting, never from a client.
        keyspace = f'"{contact.keyspace}"'
        await _run(
            session,
            f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = "
            f"{{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}",
        )
        await _refuse_the_original(session, contact.keyspace)
        await _check_keyspace(session, contact.keyspace, replicas)
        await session.set_keyspace(contact.keyspace)
        await _run(session, _MIGRATIONS.replace("{id}", str(uuid.uuid5(_NAMES, contact.keyspace))))
        holder = uuid.uuid4()
        await _lock(session, holder)
        try:
            await _apply(session)
            await _check_tables(session, contact.keyspace)
            await _begin_generation(session)
        finally:
            await _run(session, _UNLOCK, holder)
    except CassException as error:
        raise describe(contact, error) from error
    finally:
        if session is not None:
            await session.close()


async def _run(session: Any, text: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a statement that is not worth preparing, or cannot be."""
    if values:
        statement = (await session.create_prepared(text)).bind()
        statement.bind_list(list(values))
    else:
        statement = acsylla.create_statement(text)
    return [row.as_tuple() for row in (await session.execute(statement)).all()]


async def _lock(session: Any, holder: uuid.UUID) -> None:
    async def lock() -> None:
        ((applied, *_),) = await _run(session, _LOCK, holder, LOCK_SECONDS)
        if not applied:
            raise Unavailable("another migration of the keyspace does not end")

    await retry(lock, Backoff(LOCK_EVERY_SECONDS, LOCK_EVERY_SECONDS), seconds=2 * LOCK_SECONDS)


async def _apply(session: Any) -> None:
    applied = {version for (version,) in await _run(session, _APPLIED)}
    for number, step in steps().items():
        if number in applied:
            continue
        for statement in _statements(step):
            await _run(session, statement)
        await _run(session, _APPLY, number, step.name)


async def _begin_generation(session: Any) -> None:
    """Give the store a generation unless it has one; see `generation`."""
    await _run(session, _BEGIN_GENERATION, str(uuid.uuid4()))


def steps() -> dict[int, Traversable]:
    """Return the steps of this release by number, in order."""
    numbered = {}
    for step in sorted(files(__package__).joinpath("migrations").iterdir(), key=lambda f: f.name):
        if match := re.fullmatch(r"(\d{4})_\w+\.cql", step.name):
            numbered[int(match[1])] = step
    return numbered


def _statements(step: Traversable) -> list[str]:
    text = re.sub(r"--.*", "", step.read_text())
    return list(filter(str.strip, text.split(";")))


async def _check_keyspace(session: Any, keyspace: str, replicas: int) -> None:
    ((replication, durable),) = await _run(session, _KEYSPACE, keyspace)
    troubles = keyspace_troubles(dict(replication), durable=durable, replicas=replicas)
    if troubles:
        raise StartRefused(
            f"keyspace {keyspace} is not as `chat4all migrate` makes it ({'; '.join(troubles)}): "
            "set CHAT4ALL_CASSANDRA_REPLICAS to what it has, or change it with ALTER KEYSPACE and "
            "repair it; then run `chat4all migrate` again"
        )


async def _check_tables(session: Any, keyspace: str) -> None:
    found = await _tables(session, keyspace)
    all_statements = [one for step in steps().values() for one in _statements(step)]
    if troubles := table_troubles(found, expected_tables(all_statements)):
        raise StartRefused(
            f"the tables of keyspace {keyspace} are not as `chat4all migrate` makes them "
            f"({'; '.join(troubles)}): name another keyspace with CASSANDRA_KEYSPACE, or set them "
            "right; then run `chat4all migrate` again"
        )


async def _tables(session: Any, keyspace: str) -> dict[str, Table]:
    columns: dict[str, dict[str, Column]] = defaultdict(dict)
    for table, name, *about in await _run(session, _COLUMNS, keyspace):
        columns[table][name] = Column(*about)
    return {
        table: Table(columns[table], seconds)
        for table, seconds in await _run(session, _TABLES, keyspace)
    }


async def _refuse_the_original(session: Any, keyspace: str) -> None:
    messages = (await _tables(session, keyspace)).get("messages")
    # It has no columns yet while another migration creates it.
    if messages is not None and messages.columns and "bucket" not in messages.columns:
        raise StartRefused(
            f"the table messages of keyspace {keyspace} has the original layout, which this "
            "release does not migrate yet: name another keyspace with CASSANDRA_KEYSPACE"
        )
