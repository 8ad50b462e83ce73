"""Creating or migrating a cluster's topics, keyspace, tables and bucket."""

from pathlib import Path

from chat4all.adapters.cassandra import CassandraEpochs, CassandraSession, migrate
from chat4all.adapters.kafka import (
    FEED_ADDED,
    Topics,
    feed_settings,
    log_settings,
    topic_trouble,
)
from chat4all.adapters.sql import SqlFiles
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.server_schema import upgrade_server
from chat4all.adapters.sql.urls import ServerUrl, parse_database_url
from chat4all.domain.errors import StartRefused
from chat4all.domain.records import Epoch
from chat4all.ports.log import Epochs
from chat4all.processes.cluster import contact_of, opened_blobs
from chat4all.settings import MigrationSettings


async def migrate_cluster(settings: MigrationSettings) -> None:
    """Create what is missing; a second run changes nothing.

    Raises `Unavailable` if a part does not answer, and `StartRefused` for a log that is not the
    store's or was read for another one, or for anything that exists and is not as it would have
    been created.
    """
    contact = contact_of(settings.cassandra)
    await migrate(contact, replicas=settings.keyspace_replicas)
    session = CassandraSession(contact)
    try:
        await _make_log(settings, CassandraEpochs(session))
    finally:
        await session.close()
    has_files = False
    if settings.database_url is not None:
        where = parse_database_url(settings.database_url)
        if not isinstance(where, Path):  # a file gets its tables from the service that opens it
            await upgrade_server(where)
            has_files = await _has_files(where)
    async with opened_blobs(settings.files) as blobs:
        if blobs is not None:
            await blobs.make_bucket(has_files=has_files)


async def _has_files(where: ServerUrl) -> bool:
    database = ServerDatabase(where, connections=1)
    try:
        return await SqlFiles(database).has_any()
    finally:
        await database.close()


async def _make_log(settings: MigrationSettings, epochs: Epochs) -> None:
    """Create or adopt the topics, and record which of them is the log."""
    kafka, created = settings.kafka, settings.topics
    topics = Topics(kafka.bootstrap)
    recorded = await epochs.newest()
    if recorded is not None:
        # Before anything is created: a new topic would not be the one that was recorded.
        trouble: str | None = f"KAFKA_TOPIC_CHAT_MESSAGES is {kafka.topic}"
        if recorded.topic == kafka.topic:
            trouble = topic_trouble(await topics.find(kafka.topic), recorded)
        if trouble is not None:
            raise _another_log(settings, recorded, trouble)
    await topics.make(
        kafka.topic_events,
        created.partitions,
        created.replicas,
        feed_settings(),
        may_have_more=True,
        added=FEED_ADDED,
    )
    topic = await topics.make(
        kafka.topic,
        created.partitions if recorded is None else recorded.partitions,
        created.replicas,
        log_settings(created.retention_days, created.replicas),
    )
    is_new = recorded is None
    await topics.begin(kafka.topic, topic.partitions, kafka.group, is_store_new=is_new)
    row = Epoch(0, kafka.topic, topic.topic_id, topic.partitions)
    if (stored := await epochs.add(row)) != row:
        raise _another_log(settings, stored, "another migration has made another one meanwhile")


def _another_log(settings: MigrationSettings, recorded: Epoch, trouble: str) -> StartRefused:
    return StartRefused(
        f"the log of keyspace {settings.cassandra.keyspace} is topic {recorded.topic} (id "
        f"{recorded.topic_id}, {recorded.partitions} partitions), and {trouble}: name the topic, "
        "or another keyspace and group"
    )
