"""The router's side of Kafka: offsets that contradict the log, assignments that come and go."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from chat4all.adapters.kafka import KafkaConsumer, Topics, log_settings, partition_of
from chat4all.domain.errors import Degraded, RouterStopped, StartRefused, Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Epoch, LogRecord
from chat4all.ports.log import Poll
from engines import KafkaBroker
from tests.cluster.kafka import PARTITIONS, ALog, a_log
from tests.contract.test_log_consumer import last, take

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(180),
]


@pytest.fixture
async def on(kafka: KafkaBroker) -> AsyncIterator[ALog]:
    async with a_log(kafka) as found:
        yield found


def in_partition(number: int) -> ConversationId:
    """Return a key of this partition."""
    return next(
        ConversationId(key)
        for key in map(str, range(1_000))
        if partition_of(key.encode(), PARTITIONS) == number
    )


async def fill(on: ALog, partition: int, count: int) -> None:
    key = in_partition(partition)
    for _ in range(count):
        assert (await on.log.append(key, b"x")).partition == partition


def commit_as_an_operator(on: ALog, partition: int, offset: int) -> None:
    consumer = outsider(on)
    place = TopicPartition(on.epoch.topic, partition, offset)
    deadline = time.monotonic() + 30
    while True:
        try:
            consumer.commit(offsets=[place], asynchronous=False)
            break
        except KafkaException:  # those who left the group may not have gone quite yet
            assert time.monotonic() < deadline
    consumer.close()


def committed(on: ALog) -> dict[int, int]:
    consumer = outsider(on)
    places = [TopicPartition(on.epoch.topic, n) for n in range(PARTITIONS)]
    found = {place.partition: place.offset for place in consumer.committed(places, timeout=10)}
    consumer.close()
    return found


def outsider(on: ALog) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": on.broker.address,
            "group.id": on.epoch.topic,
            "enable.auto.commit": False,
        }
    )


async def until_it_raises(consumer: KafkaConsumer) -> None:
    """Poll; nothing may be handed out before."""
    async with asyncio.timeout(30):
        while True:
            assert not (await consumer.poll(100)).records


async def until_stopped(consumer: KafkaConsumer, count: int = 1) -> Mapping[int, str]:
    """Return the partitions that have stopped, once there are so many; they hand out nothing."""
    async with asyncio.timeout(30):
        while True:
            poll = await forgiving(consumer)
            assert not {r.log_position.partition for r in poll.records} & poll.stopped.keys()
            if len(poll.stopped) >= count:
                return poll.stopped


async def stops(on: ALog, because: str, epoch: Epoch | None = None) -> None:
    async with on.consumer(epoch=epoch) as consumer:
        with pytest.raises(RouterStopped, match=because):
            await until_it_raises(consumer)


async def until_committed(on: ALog, wanted: dict[int, int]) -> None:
    async with asyncio.timeout(30):
        while {p: committed(on)[p] for p in wanted} != wanted:
            await asyncio.sleep(0.05)


async def test_an_offset_beyond_the_end_of_the_log_stops_its_partition_alone(on: ALog) -> None:
    """And in every router that has the partition: none leaves the group because of it."""
    await fill(on, 1, 3)
    commit_as_an_operator(on, 1, 4)
    async with on.consumer() as one:
        stopped = await until_stopped(one)
        assert stopped.keys() == {1}
        assert stopped[1].endswith(": the log ends at 3, and 4 is committed: it was cut")
        await fill(on, 0, 2)
        await one.commit(last(await take(one, 2)))
        await until_committed(on, {0: 2, 1: 4})
    async with on.consumer() as two:
        assert await until_stopped(two) == stopped
        await fill(on, 3, 2)
        await take(two, 2)


async def test_an_offset_below_the_start_of_the_log_stops_its_partition(on: ALog) -> None:
    await fill(on, 2, 5)
    admin = AdminClient({"bootstrap.servers": on.broker.address})
    for done in admin.delete_records([TopicPartition(on.epoch.topic, 2, 4)]).values():
        done.result(10)
    async with on.consumer() as consumer:
        stopped = await until_stopped(consumer)
    assert stopped.keys() == {2}
    assert stopped[2].endswith(": records 0 to 3 are gone unread")
    # Nor is it given a first offset: somebody must say what is to become of what is gone.
    with pytest.raises(StartRefused, match="records below 4 are gone"):
        await Topics(on.broker.address).begin(on.epoch.topic, PARTITIONS, "a new group")


async def test_a_group_without_offsets_stops_every_partition(kafka: KafkaBroker) -> None:
    async with a_log(kafka) as on:
        fresh = f"{on.epoch.topic}-2"
        found = await Topics(kafka.address).make(fresh, PARTITIONS, 1, log_settings(30, 1))
        without = on.epoch._replace(topic=fresh, topic_id=found.topic_id)
        async with on.consumer(epoch=without) as consumer:
            stopped = await until_stopped(consumer, PARTITIONS)
        assert all(cause.endswith(": no offset is committed") for cause in stopped.values())


async def test_a_router_for_which_no_partition_is_left_stands_by(on: ALog) -> None:
    async with contextlib.AsyncExitStack() as stack:
        consumers = [await stack.enter_async_context(on.consumer()) for _ in range(PARTITIONS + 1)]
        with pytest.raises(Unavailable, match="has no partitions yet"):
            await consumers[0].ping()
        members = [Member(consumer) for consumer in consumers]

        async def how(consumer: KafkaConsumer) -> str:
            try:
                await consumer.ping()
            except (Degraded, Unavailable) as error:
                return f"{type(error).__name__}: {error}"
            return "routes"

        async with asyncio.timeout(60):
            while sorted(found := [await how(c) for c in consumers])[1:] != ["routes"] * PARTITIONS:
                await asyncio.sleep(0.05)
        assert sum("Degraded: no partition is assigned to this router" in one for one in found) == 1
        for member in members:
            await member.stop()


async def test_another_topic_of_the_same_name_stops_the_router(on: ALog) -> None:
    other = on.epoch._replace(topic_id="another")
    await stops(on, "was remade", other)


async def test_a_topic_that_gained_partitions_stops_the_router(on: ALog) -> None:
    fewer = on.epoch._replace(partitions=PARTITIONS - 1)
    await stops(on, "has 4 partitions instead of 3", fewer)


async def test_a_topic_that_does_not_exist_yet_is_waited_for(on: ALog) -> None:
    unborn = on.epoch._replace(topic=f"{on.epoch.topic}-2")
    async with on.consumer(epoch=unborn) as consumer, asyncio.timeout(30):
        with pytest.raises(Unavailable, match="nknown topic"):
            await until_it_raises(consumer)
        topics = Topics(on.broker.address)
        found = await topics.make(unborn.topic, PARTITIONS, 1, log_settings(30, 1))
        await topics.begin(unborn.topic, PARTITIONS, on.epoch.topic)
        consumer._epoch = unborn._replace(topic_id=found.topic_id)
        while len((await forgiving(consumer)).assignments) < PARTITIONS:
            pass


async def forgiving(consumer: KafkaConsumer) -> Poll:
    while True:
        try:
            return await consumer.poll(10)
        except Unavailable:
            pass


class Member:
    """A consumer that polls all the time and commits what it got."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self.consumer = consumer
        self.assignments: dict[int, int] = {}
        self.records: list[LogRecord] = []
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            poll = await self.consumer.poll(100)
            self.assignments = dict(poll.assignments)
            self.records += poll.records
            if poll.records:
                await self.consumer.commit(last(poll.records))

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def has(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.assignments) != count:
                assert not self._task.done(), self._task
                await asyncio.sleep(0.01)


async def test_a_partition_that_was_away_has_another_assignment_and_one_that_stayed_has_not(
    on: ALog,
) -> None:
    async with on.consumer() as one:
        first = Member(one)
        await first.has(PARTITIONS)
        alone = first.assignments
        async with on.consumer() as two:
            second = Member(two)
            await second.has(PARTITIONS // 2)
            await first.has(PARTITIONS // 2)
            kept = first.assignments
            assert kept.items() <= alone.items()
            assert not kept.keys() & second.assignments.keys()
            await second.stop()
        await first.has(PARTITIONS)
        again = first.assignments
        assert kept.items() <= again.items()
        for partition in alone.keys() - kept.keys():
            assert again[partition] != alone[partition]
        await first.stop()


async def test_a_late_commit_does_not_undo_the_next_owners(on: ALog) -> None:
    for partition in range(PARTITIONS):
        await fill(on, partition, 10)
    async with on.consumer() as one:
        in_hand = await take(one, 40)
        async with on.consumer() as two:
            # The first one is busy: it does not poll, and yet its partitions can go.
            second = Member(two)
            await second.has(PARTITIONS // 2)
            mine = set(second.assignments)
            async with asyncio.timeout(30):
                while {p: committed(on)[p] for p in mine} != dict.fromkeys(mine, 10):
                    await asyncio.sleep(0.05)
            # It has done some of it only, and says so too late.
            await one.commit([LogPosition(0, p, 4) for p in range(PARTITIONS)])
            await until_committed(on, {p: 10 if p in mine else 5 for p in range(PARTITIONS)})
            await second.stop()
    assert len(in_hand) == 40


async def test_a_router_that_is_busy_for_long_stays_in_the_group(on: ALog) -> None:
    await fill(on, 0, 50)
    async with on.consumer(busy_seconds=6.0) as one:
        first = await take(one, 10, limit=10)
        before = (await one.poll(0)).assignments
        # What is waited for is that nothing happens: longer than a silent member is kept.
        await asyncio.sleep(8)
        await one.commit(last(first))
        await until_committed(on, {0: 10})
        # What had been fetched before comes once, where it left off.
        following = await take(one, 40, limit=10)
        assert [r.log_position.offset for r in first + following] == list(range(50))
        assert (await one.poll(1)).assignments == before


async def held_up(consumer: KafkaConsumer, records: list[LogRecord]) -> str:
    """Return why a batch would have to wait; empty while it would not."""
    try:
        await consumer.commit(last(records))
    except Unavailable as error:
        return str(error)
    return ""


async def test_a_commit_that_nobody_answers_holds_up_no_batch_and_is_made_again(
    tmp_path: Path,
) -> None:
    """Mutant: the library's own way of waiting for a commit, which has no end."""
    with KafkaBroker(tmp_path / "kafka") as broker:
        async with a_log(broker) as on, on.consumer(unconfirmed_seconds=3.0) as consumer:
            await fill(on, 1, 3)
            records = await take(consumer, 3)
            broker.pause()
            async with asyncio.timeout(2):
                await consumer.commit(last(records))
            # It is bounded: with nothing confirmed for long, the next batch waits.
            async with asyncio.timeout(15):
                while not (trouble := await held_up(consumer, records)):
                    await asyncio.sleep(0.1)
                assert "has confirmed no commit for 3 s" in trouble
            broker.resume()
            async with asyncio.timeout(60):
                while committed(on)[1] != 3:
                    # Where the session has ended meanwhile they come again, and are taken again.
                    with contextlib.suppress(Unavailable):
                        records = list((await consumer.poll(10)).records) or records
                        await consumer.commit(last(records))
