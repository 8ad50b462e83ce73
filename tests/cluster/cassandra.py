"""Keyspaces on a real node, and the adapters on them."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import acsylla

from chat4all.adapters.cassandra import (
    CassandraDeadLetters,
    CassandraSession,
    CassandraStore,
    Contact,
    migrate,
)
from chat4all.adapters.cassandra.session import Row, connect
from engines import CassandraNode


@dataclass
class AStore:
    contact: Contact
    session: CassandraSession
    store: CassandraStore
    letters: CassandraDeadLetters


_free: dict[int, list[Contact]] = defaultdict(list)
"""Keyspaces that nobody uses at present, by the port of their node."""

MADE_BY_MIGRATING = {"schema_migrations", "store_generation"}


def contact_of(node: CassandraNode, keyspace: str | None = None) -> Contact:
    return Contact([node.address], keyspace or f"k{uuid.uuid4().hex}", node.port)


@asynccontextmanager
async def a_store(node: CassandraNode, contact: Contact | None = None) -> AsyncIterator[AStore]:
    own = contact or contact_of(node)
    if contact is None:
        await migrate(own)
    session = CassandraSession(own)
    yield AStore(own, session, CassandraStore(session), CassandraDeadLetters(session))
    await session.close()
    if contact is None:
        await _drop(own)


@asynccontextmanager
async def an_empty_store(node: CassandraNode) -> AsyncIterator[AStore]:
    """Use a keyspace that others have used, emptied: making one takes much longer.

    For those who change no table's columns.
    """
    if _free[node.port]:
        contact = _free[node.port].pop()
        await _empty(contact)
    else:
        await migrate(contact := contact_of(node))
    async with a_store(node, contact) as found:
        yield found
    _free[node.port].append(contact)


async def _empty(contact: Contact) -> None:
    session = await connect(contact, 60)

    async def run(statement: str) -> list[Row]:
        result = await session.execute(acsylla.create_statement(statement))
        return [row.as_tuple() for row in result.all()]

    named = (
        f"SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{contact.keyspace}'"
    )
    for table in {name for (name,) in await run(named)} - MADE_BY_MIGRATING:
        of_table = f'"{contact.keyspace}".{table}'
        if await run(f"SELECT * FROM {of_table} LIMIT 1"):
            await run(f"TRUNCATE {of_table}")
    await session.close()


async def _drop(contact: Contact) -> None:
    # A node of one gigabyte does not hold the tables of a hundred tests.
    session = await connect(contact, 60)
    drop = f'DROP KEYSPACE IF EXISTS "{contact.keyspace}"'
    await session.execute(acsylla.create_statement(drop))
    await session.close()


class Asking:
    """Asks a keyspace from where there is no event loop."""

    def __init__(self, contact: Contact) -> None:
        self._runner = asyncio.Runner()
        self._session = self._runner.run(connect(contact, 30))
        self._runner.run(self._session.set_keyspace(contact.keyspace))

    def execute(self, statement: str) -> list[Row]:
        result = self._runner.run(self._session.execute(acsylla.create_statement(statement)))
        return [row.as_tuple() for row in result.all()]

    def close(self) -> None:
        self._runner.run(self._session.close())
        self._runner.close()
