"""A keyspace of a test's own on a real node, and the adapters on it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chat4all.adapters.cassandra import (
    CassandraDeadLetters,
    CassandraSession,
    CassandraStore,
    Contact,
    migrate,
)
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
    if contact is None:
        contact = contact_of(node)
        await migrate(contact)
    session = CassandraSession(contact)
    yield AStore(contact, session, CassandraStore(session), CassandraDeadLetters(session))
    await session.close()
