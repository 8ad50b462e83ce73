"""Engines that come back under another address, as containers do: they are found again."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from chat4all.adapters.cassandra import CassandraSession, CassandraStore, Contact, migrate
from chat4all.adapters.cassandra.session import ANEW_SECONDS
from chat4all.adapters.kafka import KafkaConsumer, KafkaFeed, KafkaLog, KafkaProducer
from chat4all.domain.errors import Degraded, Unavailable
from engines import CassandraNode, KafkaBroker
from engines.server import free_port
from tests.cluster.kafka import make_epoch, warm
from tests.contract.test_log_consumer import take
from tests.messages import batch, message
from tests.records import CHATS
from tests.stored import stored

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(240),
]

BEFORE, AFTER = "127.0.0.2", "127.0.0.3"
FOUND_SECONDS = 30.0


async def at_last(step: Callable[[], Awaitable[object]]) -> None:
    """Do a step until it succeeds."""
    async with asyncio.timeout(FOUND_SECONDS):
        while True:
            with contextlib.suppress(Unavailable, Degraded):
                await step()
                return
            await asyncio.sleep(0.1)


async def test_a_node_of_cassandra_under_another_address(tmp_path: Path) -> None:
    """Its name is a list here, which the driver is given anew for each of its sessions."""
    port, storage_port = free_port(BEFORE), free_port(BEFORE)

    def node(address: str) -> CassandraNode:
        return CassandraNode(tmp_path, address=address, port=port, storage_port=storage_port)

    hosts = [BEFORE]
    session = CassandraSession(Contact(hosts, "k", port))
    store = CassandraStore(session)
    with node(BEFORE):
        await migrate(Contact(hosts, "k", port))
        await store.write(batch(message(1)))
    hosts[:] = [AFTER]
    with node(AFTER):
        began = time.monotonic()
        await at_last(store.ping)
        assert time.monotonic() - began < 2 * ANEW_SECONDS + 5
        await at_last(lambda: store.write(batch(message(2))))
        assert (await stored(store, CHATS[0], limit=2)).head == 2
        await session.close()


async def test_a_broker_under_another_address(tmp_path: Path) -> None:
    """Its name is both addresses here; the one that it advertises is another one afterwards."""
    port, controller_port = free_port(BEFORE), free_port()

    def broker(host: str) -> KafkaBroker:
        return KafkaBroker(tmp_path, port=port, controller_port=controller_port, host=host)

    name = f"{BEFORE}:{port},{AFTER}:{port}"
    producer, feed = KafkaProducer(name), KafkaFeed(name, "warm")
    with broker(BEFORE) as first:
        epoch = await make_epoch(first)
        consumer = KafkaConsumer(
            name, epoch, epoch.topic, session_seconds=6.0, busy_seconds=6.0, wait_seconds=0.2
        )
        await producer.open()
        await warm(first, producer)
        await consumer.open()
        await feed.open()
        log = KafkaLog(producer, epoch)
        await log.append(CHATS[0], b"before")
        assert [record.value for record in await take(consumer, 1)] == [b"before"]
        await at_last(feed.ping)
    with broker(AFTER):
        await at_last(lambda: log.append(CHATS[0], b"after"))
        await at_last(log.ping)
        async with asyncio.timeout(FOUND_SECONDS):
            found: set[bytes] = set()
            while b"after" not in found:
                with contextlib.suppress(Unavailable):
                    found |= {record.value for record in (await consumer.poll(10)).records}
        await at_last(feed.ping)
        await consumer.close()
        await feed.close()
        await producer.close()
