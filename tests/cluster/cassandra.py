"""A keyspace of a test's own on a real node, and the adapters on it."""

import asyncio
import uuid
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
