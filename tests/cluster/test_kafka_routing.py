"""Gateway's log, router and store together on a real broker, with records of other producers."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from confluent_kafka import Producer

from chat4all.adapters.embedded import EmbeddedFeed
from chat4all.domain.ids import ConversationId
from chat4all.router.loop import Router
from engines import CassandraNode, KafkaBroker
from tests.cluster.cassandra import AStore, a_store
from tests.cluster.kafka import PARTITIONS, ALog, a_log
from tests.cluster.test_kafka_consumer import commit_as_an_operator
from tests.records import deletion, edit, reaction, record
from tests.stored import stored

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(180),
]
CHATS = [ConversationId(str(uuid.uuid4())) for _ in range(20)]


def other_producer(on: ALog, partitioner: str) -> Producer:
    return Producer({"bootstrap.servers": on.broker.address, "partitioner": partitioner})


async def contents(store: AStore, chat: str) -> list[str]:
    """Return a conversation's contents; AssertionError unless its numbers are 1, 2, 3 …."""
    found = (await stored(store.store, ConversationId(chat), limit=1_000)).messages
    assert [m.seq for m in found] == list(range(1, len(found) + 1))
    return [m.content for m in found]


async def test_records_of_all_producers_are_stored_once_in_one_order(
    kafka: KafkaBroker, cassandra: CassandraNode
) -> None:
    """CRC32 is librdkafka's own default; kafka-python's is murmur2. Some write upper-case ids."""
    chance = random.Random(1)
    async with a_log(kafka) as on, a_store(cassandra) as store:
        producers = [other_producer(on, name) for name in ("consistent_random", "murmur2_random")]
        sent: dict[str, list[str]] = {chat: [] for chat in CHATS}
        for n in range(600):
            chat, content = chance.choice(CHATS), f"message {n}"
            written = chance.choice([chat, chat.upper()])
            value = record(content, chat=written, message_id=str(uuid.UUID(int=n)))
            sent[chat].append(content)
            for _ in range(chance.choice([1, 1, 1, 2])):
                chance.choice(producers).produce(on.epoch.topic, value, written)
        for producer in producers:
            assert producer.flush(30) == 0

        await route(on, store, routers=2, count=600)
        before = {chat: await contents(store, chat) for chat in CHATS}
        for chat, found in before.items():
            assert sorted(found) == sorted(sent[chat])

        # All of it again, as a router does whose commits were lost.
        for partition in range(PARTITIONS):
            commit_as_an_operator(on, partition, 0)
        await on.log.append(CHATS[0], record("the last", chat=CHATS[0]))
        await route(on, store, routers=1, count=601)
        before[CHATS[0]].append("the last")
        assert {chat: await contents(store, chat) for chat in CHATS} == before
        assert await store.letters.all(10) == []


async def test_changes_are_made_once_in_whichever_partition_their_records_are(
    kafka: KafkaBroker, cassandra: CassandraNode
) -> None:
    chats = CHATS[:5]
    async with a_log(kafka) as on, a_store(cassandra) as store:
        for chat in CHATS:
            await on.log.append(chat, record("first", chat=chat))
        await route(on, store, routers=1, count=len(CHATS))
        producers = [other_producer(on, name) for name in ("consistent_random", "murmur2_random")]
        for number, chat in enumerate(chats):
            made = [
                edit("second", chat=chat),
                reaction("👍", chat=chat, author="ana"),
                edit("another's", chat=chat, author="ana"),  # a dead letter
            ]
            if number % 2:
                made.append(deletion(chat=chat, author="ana", as_admin=True))
            for value in made * 2:
                producers[number % 2].produce(on.epoch.topic, value, chat)
        for producer in producers:
            assert producer.flush(30) == 0

        async def states() -> list[tuple[str, bool, int]]:
            found = []
            for chat in chats:
                (message,) = await store.store.with_numbers(chat, [1])
                change = (await store.store.position(chat)).change
                found.append((message.content, message.deleted_at is not None, change))
            return found

        wanted = [("", True, 3) if number % 2 else ("second", False, 2) for number in range(5)]

        async def all_is_made() -> None:
            async with asyncio.timeout(60):
                while await states() != wanted:
                    await asyncio.sleep(0.05)

        await route(on, store, routers=2, until=all_is_made)
        for partition in range(PARTITIONS):
            commit_as_an_operator(on, partition, 0)
        await on.log.append(CHATS[6], record("the last", chat=CHATS[6]))
        await route(on, store, routers=1, count=len(CHATS) + 1)
        assert await states() == wanted
        causes = {letter.cause for letter in await store.letters.all(100)}
        assert causes == {"its author may not change this message"}


async def route(
    on: ALog,
    store: AStore,
    *,
    routers: int,
    count: int = 0,
    until: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Let routers run until so many messages are stored, or something else is done."""
    async with AsyncExitStack() as stack:
        running = []
        for _ in range(routers):
            member = await stack.enter_async_context(on.consumer())
            router = Router(member, store.store, store.letters, EmbeddedFeed(), on.log)
            running.append((router, asyncio.ensure_future(router.run())))
        await (until_all_is_stored(store, count) if until is None else until())
        for router, task in running:
            await router.ping()
            router.stop()
            await task


async def until_all_is_stored(store: AStore, count: int) -> None:
    async with asyncio.timeout(60):
        while sum([len(await contents(store, chat)) for chat in CHATS]) < count:
            await asyncio.sleep(0.05)
