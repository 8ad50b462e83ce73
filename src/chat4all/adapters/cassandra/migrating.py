"""Brings a keyspace to this release's tables: numbered steps, each made once, from one place."""

import asyncio
import re
import time
import uuid
from importlib.resources import files
from importlib.resources.abc import Traversable

from cassandra.cluster import Cluster, Session

from chat4all.adapters.cassandra.session import DRIVER_ERRORS, Contact, connect, said
from chat4all.domain.errors import StartRefused, Unavailable

LOCK_SECONDS = 120
"""After this time the lock of a migration that was killed is free."""

STEP_SECONDS = 60.0

# Two that make one table at once, through two nodes, would make two tables of one name; with its
# identity given it is one. All other tables are made under the lock that this one holds.
_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version int PRIMARY KEY, name text, holder uuid, applied_at timestamp
) WITH id = {id}
"""
_NAMES = uuid.UUID("6d1c9d0e-52f5-4e0b-9f6e-0c4a7c1d2b3f")
_LOCK = "INSERT INTO schema_migrations (version, holder) VALUES (0, %s) IF NOT EXISTS USING TTL %s"
_UNLOCK = "DELETE FROM schema_migrations WHERE version = 0 IF holder = %s"
_APPLIED = "SELECT version FROM schema_migrations"
_APPLY = (
    "INSERT INTO schema_migrations (version, name, applied_at) "
    "VALUES (%s, %s, toTimestamp(now())) IF NOT EXISTS"
)


async def migrate(contact: Contact, *, replicas: int = 1) -> None:
    """Make the keyspace and its tables, or bring them to this release. Again changes nothing.

    Raises `StartRefused` for a table `messages` of the original layout, and `Unavailable` when
    Cassandra does not answer or another migration does not end.
    """
    await asyncio.to_thread(_migrate, contact, replicas)


def _migrate(contact: Contact, replicas: int) -> None:
    cluster: Cluster | None = None
    try:
        cluster, session = connect(contact, STEP_SECONDS)
        # Its name is a setting, not a stranger's.
        keyspace = f'"{contact.keyspace}"'
        session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = "
            f"{{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}"
        )
        session.set_keyspace(contact.keyspace)
        session.execute(_MIGRATIONS.replace("{id}", str(uuid.uuid5(_NAMES, contact.keyspace))))
        _refuse_the_original(cluster, contact.keyspace)
        holder = uuid.uuid4()
        _lock(session, holder)
        try:
            _apply(session)
        finally:
            session.execute(_UNLOCK, (holder,))
    except DRIVER_ERRORS as error:
        raise said(contact, error) from error
    finally:
        if cluster is not None:
            cluster.shutdown()


def _lock(session: Session, holder: uuid.UUID) -> None:
    deadline = time.monotonic() + 2 * LOCK_SECONDS
    while not session.execute(_LOCK, (holder, LOCK_SECONDS)).was_applied:
        if time.monotonic() > deadline:
            raise Unavailable("another migration of the keyspace does not end")
        time.sleep(0.2)


def _apply(session: Session) -> None:
    applied = {version for (version,) in session.execute(_APPLIED)}
    for number, step in steps().items():
        if number in applied:
            continue
        text = re.sub(r"--.*", "", step.read_text())
        for statement in filter(str.strip, text.split(";")):
            session.execute(statement)
        session.execute(_APPLY, (number, step.name))


def steps() -> dict[int, Traversable]:
    """Return the steps of this release by number, in their order."""
    found = {}
    for step in sorted(files(__package__).joinpath("migrations").iterdir(), key=lambda f: f.name):
        if named := re.fullmatch(r"(\d{4})_\w+\.cql", step.name):
            found[int(named[1])] = step
    return found


def _refuse_the_original(cluster: Cluster, keyspace: str) -> None:
    cluster.refresh_keyspace_metadata(keyspace)
    messages = cluster.metadata.keyspaces[keyspace].tables.get("messages")
    if messages is not None and "bucket" not in messages.columns:
        raise StartRefused(
            f"the table messages of keyspace {keyspace} has the original layout, which this "
            "release does not migrate yet: name another keyspace with CASSANDRA_KEYSPACE"
        )
