"""Topics of a test's own on a real broker, and the adapters on them."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chat4all.adapters.kafka import (
    KafkaAnnouncements,
    KafkaConsumer,
    KafkaFeed,
    KafkaLog,
    KafkaProducer,
    Topics,
    feed_settings,
    log_settings,
)
from chat4all.domain.errors import Degraded, Unavailable
from chat4all.domain.records import Epoch
from engines import KafkaBroker
from tests.feeds import Followed

PARTITIONS = 4


@asynccontextmanager
async def a_producer(
    broker: KafkaBroker, *, deadline: float = 5.0, queue_max: int = 10_000
) -> AsyncIterator[KafkaProducer]:
    producer = KafkaProducer(broker.address, deadline=deadline, queue_max=queue_max)
    await producer.open()
    try:
        await warm(broker, producer)
        yield producer
    finally:
        await producer.close()


async def warm(broker: KafkaBroker, producer: KafkaProducer) -> None:
    """Return when the broker takes records: one that has just started gives no producer an id."""
    await Topics(broker.address).make("warm", 1, 1, feed_settings())
    async with asyncio.timeout(60):
        while True:
            try:
                await producer.send("warm", b"", b"")
                return
            except Unavailable:
                await asyncio.sleep(0.05)


async def make_epoch(broker: KafkaBroker, partitions: int = PARTITIONS, number: int = 0) -> Epoch:
    """Make a topic that is ready to be read by a group of its own name."""
    name = f"chat_messages-{uuid.uuid4()}"
    topics = Topics(broker.address)
    found = await topics.make(name, partitions, 1, log_settings(30, 1))
    await topics.begin(name, partitions, name)
    return Epoch(number, name, found.topic_id, found.partitions)


@dataclass
class ALog:
    broker: KafkaBroker
    epoch: Epoch
    log: KafkaLog

    @asynccontextmanager
    async def consumer(
        self,
        *,
        epoch: Epoch | None = None,
        busy_seconds: float = 6.0,
        unconfirmed_seconds: float = 60.0,
        name: str | None = None,
    ) -> AsyncIterator[KafkaConsumer]:
        """Join the group of this log."""
        consumer = KafkaConsumer(
            self.broker.address,
            epoch or self.epoch,
            self.epoch.topic,
            name=name,
            session_seconds=6.0,
            busy_seconds=busy_seconds,
            wait_seconds=0.2,
            unconfirmed_seconds=unconfirmed_seconds,
        )
        await consumer.open()
        try:
            yield consumer
        finally:
            await consumer.close()


@asynccontextmanager
async def a_log(
    broker: KafkaBroker,
    *,
    partitions: int = PARTITIONS,
    deadline: float = 5.0,
    queue_max: int = 10_000,
) -> AsyncIterator[ALog]:
    epoch = await make_epoch(broker, partitions)
    async with a_producer(broker, deadline=deadline, queue_max=queue_max) as producer:
        yield ALog(broker, epoch, KafkaLog(producer, epoch))


async def ready(feed: KafkaFeed) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await feed.ping()
            except Degraded:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def a_feed(broker: KafkaBroker, *, buffer: int) -> AsyncIterator[Followed]:
    topic = f"chat_events-{uuid.uuid4()}"
    await Topics(broker.address).make(topic, PARTITIONS, 1, feed_settings())
    async with a_producer(broker) as producer:
        feed = KafkaFeed(broker.address, topic)
        followed = Followed(KafkaAnnouncements(producer, topic), feed, buffer)
        await feed.open()
        try:
            await ready(feed)
            yield followed
        finally:
            await feed.close()
