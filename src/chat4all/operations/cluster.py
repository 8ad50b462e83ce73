"""Opening the parts of a cluster for operators' commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chat4all.adapters.cassandra import (
    CassandraDeadLetters,
    CassandraEpochs,
    CassandraSession,
    CassandraStore,
)
from chat4all.adapters.kafka import NO_LOG, KafkaLog, KafkaProducer, Topics, topic_trouble
from chat4all.adapters.sql.server_schema import check_revision
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import Unavailable
from chat4all.ports.history import ChangeableMessages
from chat4all.processes.cluster import contact_of
from chat4all.processes.directories import open_database
from chat4all.settings import CassandraSettings, KafkaSettings


@asynccontextmanager
async def ready_database(url: str | None) -> AsyncIterator[Transactions]:
    """Open the directory's database.

    Raises `Unavailable` if it does not answer or does not have this release's tables.
    """
    async with open_database(url) as database:
        await check_revision(database)
        yield database


@asynccontextmanager
async def stored_history(settings: CassandraSettings) -> AsyncIterator[ChangeableMessages]:
    """Open the message store for reading; a call raises `Unavailable` if it does not answer."""
    session = CassandraSession(contact_of(settings))
    try:
        yield CassandraStore(session)
    finally:
        await session.close()


@asynccontextmanager
async def log_and_dead_letters(
    kafka: KafkaSettings, cassandra: CassandraSettings
) -> AsyncIterator[tuple[KafkaLog, CassandraDeadLetters]]:
    """Open the log and the dead letters.

    Raises `Unavailable` if either does not answer, or the topic is not the log that it was.
    """
    session = CassandraSession(contact_of(cassandra))
    try:
        epoch = await CassandraEpochs(session).newest()
        if epoch is None:
            raise Unavailable(NO_LOG)
        found = await Topics(kafka.bootstrap).find(epoch.topic)
        if (trouble := topic_trouble(found, epoch)) is not None:
            raise Unavailable(trouble)
        producer = KafkaProducer(kafka.bootstrap)
        await producer.open()
        try:
            yield KafkaLog(producer, epoch), CassandraDeadLetters(session)
        finally:
            await producer.close()
    finally:
        await session.close()
