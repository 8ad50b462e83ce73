"""The live feed on Kafka: read from a known place on, and honest when something was missed."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import TopicPartition

from chat4all.adapters.kafka import KafkaFeed, KafkaProducer, Topics, feed_settings
from chat4all.domain.errors import Overloaded, Unavailable
from engines import KafkaBroker
from tests.cluster.kafka import PARTITIONS, a_producer, ready
from tests.contract.test_live_feed import event

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(180),
]


async def make(broker: KafkaBroker, topic: str) -> None:
    await Topics(broker.address).make(topic, PARTITIONS, 1, feed_settings())


@asynccontextmanager
async def a_feed(broker: KafkaBroker) -> AsyncIterator[tuple[KafkaFeed, KafkaProducer, str]]:
    """A feed that is read, its producer and its topic."""
    topic = f"chat_events-{uuid.uuid4()}"
    await make(broker, topic)
    async with a_producer(broker) as producer:
        feed = KafkaFeed(broker.address, producer, topic)
        await feed.open()
        await ready(feed)
        yield feed, producer, topic
        await feed.close()


async def test_it_is_ready_when_its_topic_is_there_and_reads_what_is_announced_from_then_on(
    kafka: KafkaBroker,
) -> None:
    topic = f"chat_events-{uuid.uuid4()}"
    async with a_producer(kafka) as producer:
        feed = KafkaFeed(kafka.address, producer, topic)
        with pytest.raises(Unavailable, match="not read yet"):
            await feed.ping()
        await feed.open()
        with pytest.raises(Unavailable):
            async with feed.subscribe():
                pass
        await make(kafka, topic)
        await ready(feed)
        await feed.announce([event(1)])
        late = KafkaFeed(kafka.address, producer, topic)
        await late.open()
        await ready(late)
        async with late.subscribe() as subscription, asyncio.timeout(20):
            await feed.announce([event(2)])
            assert list(await subscription.next()) == [event(2)]
        await late.close()
        await feed.close()


async def test_when_its_place_is_lost_those_who_listen_are_told_and_can_start_again(
    kafka: KafkaBroker,
) -> None:
    async with a_feed(kafka) as (feed, _, topic):
        async with feed.subscribe() as subscription, asyncio.timeout(30):
            await feed.announce([event(1)])
            assert list(await subscription.next()) == [event(1)]
            beyond = [TopicPartition(topic, n, 1_000) for n in range(PARTITIONS)]
            await feed._call(lambda: feed._consumer.assign(beyond))
            for _ in range(2):
                with pytest.raises(Overloaded):
                    await subscription.next()
        await ready(feed)
        async with feed.subscribe() as subscription, asyncio.timeout(20):
            await feed.announce([event(2)])
            assert list(await subscription.next()) == [event(2)]


async def test_what_cannot_be_read_is_something_missed(kafka: KafkaBroker) -> None:
    async with a_feed(kafka) as (feed, producer, topic):
        async with feed.subscribe() as subscription, asyncio.timeout(20):
            await producer.send(topic, b"a chat", b'[{"key": 7}]')
            with pytest.raises(Overloaded):
                await subscription.next()
        async with feed.subscribe() as subscription, asyncio.timeout(20):
            await feed.announce([event(3)])
            assert list(await subscription.next()) == [event(3)]
