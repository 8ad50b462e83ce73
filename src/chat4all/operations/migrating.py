"""Creating or migrating a cluster's topics, keyspace and tables."""

from pathlib import Path

from chat4all.adapters.cassandra import CassandraEpochs, CassandraSession, migrate
from chat4all.adapters.kafka import Topics, feed_settings, log_settings
from chat4all.adapters.sql.server_schema import upgrade_server
from chat4all.adapters.sql.urls import parse_database_url
from chat4all.domain.errors import StartRefused
from chat4all.domain.records import Epoch
from chat4all.processes.cluster import contact_of
from chat4all.settings import CassandraSettings, KafkaSettings


async def migrate_cluster(
    kafka: KafkaSettings, cassandra: CassandraSettings, database_url: str | None
) -> None:
    """Create what is missing; a second run changes nothing.

    Raises `Unavailable` if a part does not answer, and `StartRefused` for a log that is not the
    store's.
    """
    contact = contact_of(cassandra)
    await migrate(contact, replicas=cassandra.replicas)
    topics = Topics(kafka.bootstrap)
    await topics.make(kafka.topic_events, kafka.partitions, kafka.replicas, feed_settings())
    topic = await topics.make(
        kafka.topic,
        kafka.partitions,
        kafka.replicas,
        log_settings(kafka.retention_days, kafka.replicas),
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
            f"the log of keyspace {cassandra.keyspace} is topic {stored.topic} (id "
            f"{stored.topic_id}, {stored.partitions} partitions), and Kafka has {row.topic} (id "
            f"{row.topic_id}, {row.partitions} partitions): name the topic, or another keyspace"
        )
    if database_url is not None:
        where = parse_database_url(database_url)
        if not isinstance(where, Path):  # the service that opens a file creates its tables
            await upgrade_server(where)
