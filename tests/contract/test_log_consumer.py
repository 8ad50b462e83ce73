"""The contract of `ports.log.LogConsumer`."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest

from chat4all.domain.ids import LogPosition
from chat4all.domain.records import LogRecord
from chat4all.ports.log import LogConsumer
from tests.contract.conftest import Consuming
from tests.records import CHATS

pytestmark = pytest.mark.anyio


async def fill(consuming: Consuming, count: int, first: int = 0) -> list[bytes]:
    values = [b"%d" % n for n in range(first, first + count)]
    for n, value in enumerate(values):
        await consuming.log.append(CHATS[n % len(CHATS)], value)
    return values


async def take(consumer: LogConsumer, count: int, limit: int = 1_000) -> list[LogRecord]:
    found: list[LogRecord] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            poll = await consumer.poll(limit)
            assert len(poll.records) <= limit
            assert {r.log_position.partition for r in poll.records} <= set(poll.assignments)
            found += poll.records
    return found


def last(records: Sequence[LogRecord]) -> list[LogPosition]:
    return list({r.log_position.partition: r.log_position for r in records}.values())


async def test_every_record_comes_once_in_the_order_of_its_partition(consuming: Consuming) -> None:
    before = time.time_ns() // 1_000_000
    values = await fill(consuming, 50)
    async with consuming.consumer() as consumer:
        found = await take(consumer, 50, limit=7)
        assert Counter(r.value for r in found) == Counter(values)
        assert not (await consumer.poll(7)).records
        for record in found:
            assert record.key.decode() == CHATS[int(record.value) % len(CHATS)]
            assert record.log_append_time
            assert before - 1_000 <= record.appended_ms <= time.time_ns() // 1_000_000 + 1_000
        of_chat = defaultdict[bytes, list[LogRecord]](list)
        for record in found:
            of_chat[record.key].append(record)
        for records in of_chat.values():
            assert [int(r.value) for r in records] == sorted(int(r.value) for r in records)
            assert [r.log_position for r in records] == sorted(r.log_position for r in records)
        await fill(consuming, 1, first=50)
        assert [r.value for r in await take(consumer, 1)] == [b"50"]


async def test_appends_say_where_the_consumer_finds_them(consuming: Consuming) -> None:
    positions = {b"%d" % n: await consuming.log.append(CHATS[n], b"%d" % n) for n in range(4)}
    async with consuming.consumer() as consumer:
        assert {r.value: r.log_position for r in await take(consumer, 4)} == positions


async def test_what_was_not_committed_comes_again_and_what_was_does_not(
    consuming: Consuming,
) -> None:
    await fill(consuming, 20)
    async with consuming.consumer() as consumer:
        first = await take(consumer, 20)
    async with consuming.consumer() as consumer:
        again = await take(consumer, 20)
        assert sorted(r.log_position for r in again) == sorted(r.log_position for r in first)
        await consumer.commit(last(again))
    await fill(consuming, 3, first=20)
    async with consuming.consumer() as consumer:
        assert sorted(r.value for r in await take(consumer, 3)) == [b"20", b"21", b"22"]
        assert not (await consumer.poll(10)).records


async def test_a_poll_that_was_not_waited_for_loses_nothing(consuming: Consuming) -> None:
    async with consuming.consumer() as consumer:
        await consumer.poll(10)
        polling = asyncio.ensure_future(consumer.poll(10))
        await asyncio.sleep(0)
        await fill(consuming, 1)
        polling.cancel()
        await asyncio.wait({polling})
        found = [] if polling.cancelled() else list(polling.result().records)
        found += await take(consumer, 1 - len(found))
        assert [r.value for r in found] == [b"0"]


async def test_headers_come_back_beside_their_record(consuming: Consuming) -> None:
    traced = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    several = [("a", b""), ("a", b"\xff\0"), ("b", b"2")]
    for value, headers in ((b"0", traced), (b"1", ()), (b"2", several)):
        await consuming.log.append(CHATS[0], value, headers)
    await consuming.log.append(CHATS[0], b"3")
    async with consuming.consumer() as consumer:
        found = {r.value: list(r.headers) for r in await take(consumer, 4)}
    assert found == {b"0": traced, b"1": [], b"2": several, b"3": []}
