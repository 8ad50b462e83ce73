"""Reading the state of a Kafka cluster, without changing anything."""

import asyncio

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ConfigSource,
    ResourceType,
)

from chat4all.adapters.kafka.connection import client_config, describe
from chat4all.adapters.kafka.reachability import PUBLIC, Address, addresses_in, reach
from chat4all.adapters.kafka.topic_settings import TopicFacts
from chat4all.domain.errors import Unavailable

ASK_SECONDS = 5.0


class KafkaInspection:
    """Queries the cluster; every method raises `Unavailable` with a sentence."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin = AdminClient(client_config(bootstrap, quiet=True))

    async def brokers(self) -> list[Address]:
        """Return the brokers' advertised addresses, once all of them can be reached."""
        return addresses_in(await reach(self._admin, self._bootstrap))

    async def topic(self, name: str) -> TopicFacts | None:
        """Return a topic; None when there is none of this name."""
        described = self._admin.describe_topics(
            TopicCollection([name]), request_timeout=ASK_SECONDS
        )
        try:
            about = await asyncio.wrap_future(described[name])
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise Unavailable(describe(error), PUBLIC) from None
        resource = ConfigResource(ResourceType.TOPIC, name)
        configured = self._admin.describe_configs([resource], request_timeout=ASK_SECONDS)
        try:
            settings = await asyncio.wrap_future(configured[resource])
        except KafkaException as error:
            raise Unavailable(describe(error), PUBLIC) from None
        return TopicFacts(
            str(about.topic_id),
            len(about.partitions),
            min(len(partition.replicas) for partition in about.partitions),
            {key: entry.value for key, entry in settings.items()},
            sum(partition.leader is None for partition in about.partitions),
            sum(len(partition.isr) < len(partition.replicas) for partition in about.partitions),
            {
                key
                for key, entry in settings.items()
                if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
            },
        )
