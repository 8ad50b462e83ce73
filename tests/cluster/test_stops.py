"""A router on Kafka and Cassandra that dies after any of its requests loses and doubles nothing."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from chat4all.adapters.cassandra import (
    CassandraDeadLetters,
    CassandraSession,
    CassandraStore,
    Contact,
)
from chat4all.adapters.embedded import EmbeddedFeed
from chat4all.adapters.kafka import KafkaConsumer, Topics
from chat4all.domain.events import LiveEvent, MessageStored
from chat4all.domain.records import LogRecord
from chat4all.ports.store import IdKey
from chat4all.router.loop import Router
from engines import CassandraNode, KafkaBroker
from tests.cluster.cassandra import AStore, a_store
from tests.cluster.kafka import PARTITIONS, ALog, a_log
from tests.cluster.test_kafka_consumer import committed
from tests.contract.test_log_consumer import take
from tests.faults.machine import Stop
from tests.faults.test_rules import POISON
from tests.records import CHATS, model, record
from tests.stored import stored

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(300),
]


class DyingSession(CassandraSession):
    """Ends the router after so many requests; nothing is asked after that."""

    def __init__(self, contact: Contact, requests: int) -> None:
        super().__init__(contact)
        self._left = requests

    async def _execute(self, ask: Callable[[float], Awaitable[Any]], spent: float) -> Any:
        if self._left == 0:
            raise Stop
        result = await super()._execute(ask, spent)
        if self._left > 0:
            self._left -= 1
        if self._left == 0:
            raise Stop
        return result


class HeardFeed(EmbeddedFeed):
    def __init__(self, heard: list[LiveEvent]) -> None:
        super().__init__()
        self._heard = heard

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        self._heard += events


async def append(on: ALog, chance: random.Random, count: int) -> int:
    """Append messages, some of them again, and poison; return how many records there are."""
    values = []
    for n in range(count):
        chat = CHATS[chance.choice([0, 0, 0, 1, 2])]
        value = record(
            f"message {n}", chat=chat, message_id=str(uuid.UUID(int=chance.getrandbits(128)))
        )
        values += [(chat, value)] * chance.choice([1, 1, 1, 2])
    values.append((CHATS[0], POISON))
    await asyncio.gather(*(on.log.append(chat, value) for chat, value in values))
    return len(values)


async def route(on: ALog, store: AStore, heard: list[LiveEvent], requests: int, end: int) -> bool:
    """Let a router run to its death, or until `end` records are committed; say whether it died."""
    session = DyingSession(store.contact, requests)
    async with on.consumer() as consumer:
        router = Router(
            consumer,
            CassandraStore(session),
            CassandraDeadLetters(session),
            HeardFeed(heard),
            on.log,
        )
        running = asyncio.ensure_future(router.run())
        while not running.done():
            await router.ping()
            done = await asyncio.to_thread(committed, on)
            if sum(done.values()) == end:
                router.stop()
            await asyncio.wait({running}, timeout=0.1)
    await session.close()
    return running.exception() is not None


async def all_records(on: ALog, count: int) -> list[LogRecord]:
    group = f"{on.epoch.topic}-reader"
    await Topics(on.broker.address).begin(on.epoch.topic, PARTITIONS, group)
    reader = KafkaConsumer(on.broker.address, on.epoch, group)
    await reader.open()
    try:
        return await take(reader, count)
    finally:
        await reader.close()


async def check(on: ALog, store: AStore, heard: list[LiveEvent], count: int) -> None:
    """AssertionError unless the store is what the model makes of the log, and was announced."""
    wanted = model(await all_records(on, count))
    for chat in CHATS:
        messages = (await stored(store.store, chat, limit=count)).messages
        assert [m.seq for m in messages] == list(range(1, len(messages) + 1))
        assert [(m.message_id, m.sender_id, m.content) for m in messages] == wanted.get(chat, [])
        known = await store.store.find_ids(
            [IdKey(chat, m.message_id, m.sender_id) for m in messages]
        )
        assert sorted(entry.seq for entry in known.values()) == [m.seq for m in messages]
    numbers: dict[tuple[str, int], str] = {}
    for message in (event.message for event in heard if isinstance(event, MessageStored)):
        place = (message.conversation_id, message.seq)
        assert numbers.setdefault(place, message.message_id) == message.message_id
    assert len(numbers) == sum(len(rows) for rows in wanted.values())


async def test_a_router_that_dies_after_any_request_loses_nothing_and_doubles_nothing(
    kafka: KafkaBroker, cassandra: CassandraNode
) -> None:
    chance = random.Random(7)
    heard: list[LiveEvent] = []
    async with a_log(kafka) as on, a_store(cassandra) as store:
        # Close below the end of a bucket, so that it is crossed while routers die.
        values = [record(f"{n}", message_id=str(uuid.UUID(int=n))) for n in range(980)]
        await asyncio.gather(*(on.log.append(CHATS[0], value) for value in values))
        count = len(values)
        assert not await route(on, store, heard, -1, count)
        deaths = 0
        for requests in range(1, 40, 2):
            count += await append(on, chance, 4)
            deaths += await route(on, store, heard, requests, count)
        assert deaths > 10
        assert not await route(on, store, heard, -1, count)
        await check(on, store, heard, count)
