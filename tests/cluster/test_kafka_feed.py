"""The live feed on Kafka: read from a known offset on, and reporting lost announcements."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from chat4all.adapters.kafka import (
    KafkaAnnouncements,
    KafkaFeed,
    KafkaProducer,
    Topics,
    feed_settings,
)
from chat4all.domain.errors import Degraded, Overloaded
from chat4all.wire.events import encode_event, join_events
from engines import KafkaBroker
from tests.cluster.kafka import PARTITIONS, a_producer, ready
from tests.contract.test_live_feed import event
from tests.feeds import Followed
from tests.records import CHATS

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(180),
]


async def make(broker: KafkaBroker, topic: str) -> None:
    await Topics(broker.address).make(topic, PARTITIONS, 1, feed_settings())


@dataclass
class AFeed:
    """A feed that is read, what announces on it, and its topic."""

    feed: KafkaFeed
    followed: Followed
    announcements: KafkaAnnouncements
    producer: KafkaProducer
    topic: str


@asynccontextmanager
async def reading(broker: KafkaBroker, producer: KafkaProducer, topic: str) -> AsyncIterator[AFeed]:
    feed = KafkaFeed(broker.address, topic)
    announcements = KafkaAnnouncements(producer, topic)
    followed = Followed(announcements, feed)
    await feed.open()
    try:
        yield AFeed(feed, followed, announcements, producer, topic)
    finally:
        await feed.close()


@asynccontextmanager
async def a_feed(broker: KafkaBroker) -> AsyncIterator[AFeed]:
    topic = f"chat_events-{uuid.uuid4()}"
    await make(broker, topic)
    async with a_producer(broker) as producer, reading(broker, producer, topic) as found:
        await ready(found.feed)
        yield found


async def test_it_is_ready_when_its_topic_is_there_and_reads_what_is_announced_from_then_on(
    kafka: KafkaBroker,
) -> None:
    topic = f"chat_events-{uuid.uuid4()}"
    with pytest.raises(Degraded, match="not read yet"):
        await KafkaFeed(kafka.address, topic).ping()
    async with a_producer(kafka) as producer, reading(kafka, producer, topic) as early:
        with pytest.raises(Degraded):
            await early.feed.ping()
        await make(kafka, topic)
        await ready(early.feed)
        await early.followed.announce([event(1)])
        async with reading(kafka, producer, topic) as late:
            await ready(late.feed)
            async with late.followed.follow() as follower, asyncio.timeout(20):
                await late.followed.announce([event(2)])
                assert list(await follower.next()) == [event(2)]


async def test_when_its_place_is_lost_followers_are_told_and_can_start_again(
    kafka: KafkaBroker,
) -> None:
    async with a_feed(kafka) as it:
        async with it.followed.follow() as follower, asyncio.timeout(30):
            await it.followed.announce([event(1)])
            assert list(await follower.next()) == [event(1)]
            beyond = [TopicPartition(it.topic, n, 1_000) for n in range(PARTITIONS)]
            await it.feed._call(lambda: it.feed._consumer.assign(beyond))
            for _ in range(2):
                with pytest.raises(Overloaded):
                    await follower.next()
        await ready(it.feed)
        async with it.followed.follow() as follower, asyncio.timeout(20):
            await it.followed.announce([event(2)])
            assert list(await follower.next()) == [event(2)]


async def test_what_cannot_be_read_is_something_missed(kafka: KafkaBroker) -> None:
    async with a_feed(kafka) as it:
        async with it.followed.follow() as follower, asyncio.timeout(20):
            await it.producer.send(it.topic, b"a chat", b'[{"type": 7}]')
            with pytest.raises(Overloaded):
                await follower.next()
        async with it.followed.follow() as follower, asyncio.timeout(20):
            await it.followed.announce([event(3)])
            assert list(await follower.next()) == [event(3)]


async def test_partitions_that_a_topic_gets_later_are_read_too(kafka: KafkaBroker) -> None:
    """Mutant: a gateway reads the partitions for ever that there were when it began."""
    async with a_feed(kafka) as it, asyncio.timeout(60):
        admin = AdminClient({"bootstrap.servers": kafka.address})
        async with it.followed.follow() as follower:
            grown = admin.create_partitions([NewPartitions(it.topic, PARTITIONS + 1)])
            await asyncio.to_thread(grown[it.topic].result, 30)
            while True:
                await it.announcements.beat()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        with pytest.raises(Overloaded):
                            await follower.next()
                        break
        await ready(it.feed)
        async with it.followed.follow() as follower:
            await it.producer.send(
                it.topic,
                CHATS[0].encode(),
                join_events([encode_event(event(5))]),
                partition=PARTITIONS,
            )
            assert list(await follower.next()) == [event(5)]
