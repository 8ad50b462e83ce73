"""The log on a broker that is paused, killed or full: no false acknowledgement, no hang."""

import asyncio
import contextlib
import time
from collections import Counter
from pathlib import Path

import pytest

from chat4all.adapters.kafka import partition_of
from chat4all.domain.errors import OutcomeUnknown, Overloaded, Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from engines import KafkaBroker
from tests.cluster.kafka import ALog, a_feed, a_log
from tests.contract.test_live_feed import event
from tests.contract.test_log_consumer import take
from tests.records import CHATS

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(240),
]


async def test_a_conversation_goes_where_every_murmur2_producer_puts_it(kafka: KafkaBroker) -> None:
    async with a_log(kafka, partitions=7) as on:
        for n in range(40):
            key = ConversationId(f"conversation {n}")
            assert (await on.log.append(key, b"")).partition == partition_of(key.encode(), 7)


@pytest.mark.alone
async def test_a_paused_broker_is_an_unknown_outcome_in_time_and_a_full_queue_says_so_at_once(
    tmp_path: Path,
) -> None:
    with KafkaBroker(tmp_path) as broker:
        async with a_log(broker, deadline=3.0, queue_max=5) as on:
            await on.log.append(CHATS[0], b"before")
            broker.pause()
            begun = time.monotonic()
            waiting = [asyncio.ensure_future(on.log.append(CHATS[0], b"%d" % n)) for n in range(5)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await on.log.append(CHATS[0], b"one too many")
            assert time.monotonic() - begun < 0.5
            for one in waiting:
                with pytest.raises(OutcomeUnknown):
                    await one
            assert time.monotonic() - begun < 3.0
            with pytest.raises(Unavailable):
                await on.log.ping()
            broker.resume()
            async with asyncio.timeout(10):
                await append_at_last(on, b"after")
            await on.log.ping()
            async with on.consumer() as consumer:
                found = [r.value for r in await take(consumer, 2)]
                found += [r.value for r in (await consumer.poll(100)).records]
            assert found[0] == b"before"
            assert found[-1] == b"after"
            assert max(Counter(found).values()) == 1


async def append_at_last(on: ALog, value: bytes) -> LogPosition:
    while True:
        with contextlib.suppress(Unavailable):
            return await on.log.append(CHATS[0], value)


@pytest.mark.alone
async def test_what_a_killed_broker_acknowledged_is_there_once_and_it_goes_on_by_itself(
    tmp_path: Path,
) -> None:
    with KafkaBroker(tmp_path) as broker:
        async with a_log(broker, deadline=3.0) as on, a_feed(broker, buffer=1_000) as feed:
            acknowledged: dict[bytes, LogPosition] = {}
            back = asyncio.Event()

            async def client(name: int) -> None:
                n, after = 0, 0
                while after < 50:
                    n += 1
                    value = b"%d %d" % (name, n)
                    try:
                        position = await on.log.append(CHATS[name % 4], value)
                    except Unavailable:
                        continue
                    acknowledged[value] = position
                    after += back.is_set()

            async with feed.follow() as follower, asyncio.timeout(120):
                await feed.announce([event(1)])
                clients = [asyncio.ensure_future(client(n)) for n in range(8)]
                while len(acknowledged) < 500:
                    await asyncio.sleep(0.001)
                await asyncio.to_thread(broker.kill)
                assert not broker.answers()
                await asyncio.to_thread(broker.restart)
                returned = time.monotonic()
                back.set()
                await asyncio.gather(*clients)
                assert time.monotonic() - returned < 10
                await feed.announce([event(2)])
                assert list(await follower.next()) == [event(1), event(2)]

            async with on.consumer() as consumer:
                found = await take(consumer, len(acknowledged))
                while more := (await consumer.poll(1_000)).records:
                    found += more
            values = Counter(r.value for r in found)
            assert [v for v, count in values.items() if count > 1] == []
            places = {r.value: r.log_position for r in found}
            assert {v: places.get(v) for v in acknowledged} == acknowledged
