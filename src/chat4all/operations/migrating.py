"""Creating or migrating a cluster's topics, keyspace and tables."""

from pathlib import Path

from chat4all.adapters.cassandra import CassandraEpochs, CassandraSession, migrate
from chat4all.adapters.kafka import Topics, feed_settings, log_settings
from chat4all.adapters.sql.server_schema import upgrade_server
from chat4all.adapters.sql.urls import parse_database_url
from chat4all.domain.errors import StartRefused
from chat4all.domain.records import Epoch
from chat4all.processes.cluster import contact_of
from chat4all.settings import MigrationSettings


async def migrate_cluster(settings: MigrationSettings) -> None:
    """Create what is missing; a second run changes nothing.

    Raises `Unavailable` if a part does not answer, and `StartRefused` for a log that is not the
    store's.
    """
    kafka, created = settings.kafka, settings.topics
    contact = contact_of(settings.cassandra)
    await migrate(contact, replicas=settings.keyspace_replicas)
    topics = Topics(kafka.bootstrap)
    await topics.make(kafka.topic_events, created.partitions, created.replicas, feed_settings())
    topic = await topics.make(
        kafka.topic,
        created.partitions,
        created.replicas,
        log_settings(created.retention_days, created.replicas),
    )
    await topics.begin(kafka.topic, topic.partitions, kafka.group)
    session = CassandraSession(contact)
    try:
        row = Epoch(0, kafka.topic, topic.topic_id, topic.partitions)
        stored = await CassandraEpochs(session).add(row)
    finally:
        await session.close()
    if stored != row:
        raise StartRefused(
            f"the log of keyspace {settings.cassandra.keyspace} is topic {stored.topic} (id "
            f"{stored.topic_id}, {stored.partitions} partitions), and Kafka has {row.topic} (id "
            f"{row.topic_id}, {row.partitions} partitions): name the topic, or another keyspace"
        )
    if settings.database_url is not None:
        where = parse_database_url(settings.database_url)
        if not isinstance(where, Path):  # a file gets its tables from the service that opens it
            await upgrade_server(where)
