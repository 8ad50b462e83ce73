"""The router's side of Kafka while new assignments are checked, without a broker."""

import asyncio
from collections.abc import Iterable

import pytest
from confluent_kafka import Message, TopicPartition

from chat4all.adapters.kafka import KafkaConsumer
from chat4all.adapters.kafka import consumer as kafka_consumer
from chat4all.adapters.kafka.topics import Topic, Topics
from chat4all.domain.errors import Degraded, RouterStopped, Unavailable
from chat4all.ports.log import Poll
from tests.unit.test_kafka_member import EPOCH, Playing, checked, playing

pytestmark = pytest.mark.anyio


class Asked(Topics):
    """A cluster that answers once `answers` is set, with what a test says."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.topic: Topic | None = Topic(EPOCH.topic_id, EPOCH.partitions)
        self.offsets = dict.fromkeys(range(EPOCH.partitions), 5)
        self.times = 0
        self.leaderless: set[int] = set()

    async def find(self, topic: str) -> Topic | None:
        self.times += 1
        await self.answers.wait()
        return self.topic

    async def committed(
        self, topic: str, partitions: Iterable[int], group: str, seconds: float = 0
    ) -> dict[int, int]:
        return {partition: self.offsets[partition] for partition in partitions}

    async def ends(
        self, topic: str, partitions: Iterable[int], seconds: float = 0
    ) -> dict[int, tuple[int, int]]:
        return dict.fromkeys(set(partitions) - self.leaderless, (0, 10))


def consuming(*messages: Message) -> tuple[KafkaConsumer, Playing, Asked]:
    """Return a consumer that has partition 0, checked, and to which 1 and 2 were just assigned."""
    consumer = KafkaConsumer("127.0.0.1:9", EPOCH, "a-group", wait_seconds=0.01)
    member, library = playing(*messages)
    topics = Asked()
    consumer._member, consumer._assignments, consumer._topics = member, member.assignments, topics
    checked(member, 0)
    member._on_assign(library, [TopicPartition("t", 1), TopicPartition("t", 2)])  # type: ignore[arg-type]
    return consumer, library, topics


async def polled(consumer: KafkaConsumer, count: int) -> Poll:
    """Poll until so many records have come in one batch."""
    async with asyncio.timeout(5):
        while len((poll := await consumer.poll(100)).records) < count:
            pass
    return poll


async def test_partitions_that_are_checked_do_not_wait_for_those_that_are_not() -> None:
    """Fails when one slow answer of Kafka holds up all partitions of a router."""
    first, second, new = (Message("t", n, 5, b"", b"%d" % n) for n in (0, 0, 1))
    consumer, library, topics = consuming(new, first)
    assert [record.value for record in (await polled(consumer, 1)).records] == [b"0"]
    library.messages.append(second)
    assert [record.value for record in (await polled(consumer, 1)).records] == [b"0"]
    assert topics.times == 1
    topics.answers.set()
    assert [record.value for record in (await polled(consumer, 1)).records] == [b"1"]


async def test_a_partition_whose_offset_is_wrong_stops_alone() -> None:
    consumer, _, topics = consuming(*(Message("t", n, 5, b"", b"%d" % n) for n in (0, 1, 2)))
    topics.offsets |= {1: 11, 2: 10}
    topics.answers.set()
    async with asyncio.timeout(5):
        values: list[bytes] = []
        poll = await consumer.poll(100)
        while len(values) < 2 or not poll.stopped:
            values += [record.value for record in poll.records]
            poll = await consumer.poll(100)
    assert sorted(values) == [b"0", b"2"]
    assert poll.stopped == {1: "chat_messages: the log ends at 10, and 11 is committed: it was cut"}
    consumer.stop(2, "a contradiction")
    assert (await consumer.poll(100)).stopped.keys() == {1, 2}


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        (Topic("another id", EPOCH.partitions), "was remade"),
        (Topic(EPOCH.topic_id, EPOCH.partitions + 1), "has 5 partitions instead of 4"),
    ],
)
async def test_another_topic_stops_all_of_them_for_good(topic: Topic, why: str) -> None:
    consumer, library, topics = consuming()
    topics.topic = topic
    topics.answers.set()
    with pytest.raises(RouterStopped, match=why):
        await polled(consumer, 1)
    topics.topic = Topic(EPOCH.topic_id, EPOCH.partitions)
    library.messages.append(Message("t", 0, 5, b"", b"0"))
    with pytest.raises(RouterStopped, match=why):
        await consumer.poll(100)


async def test_a_check_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_consumer, "CHECK_AGAIN_SECONDS", 0.0)
    consumer, library, topics = consuming()
    topics.topic = None
    topics.answers.set()
    with pytest.raises(Unavailable, match="does not exist"):
        await polled(consumer, 1)
    topics.topic = Topic(EPOCH.topic_id, EPOCH.partitions)
    library.messages.append(Message("t", 2, 5, b"", b"2"))
    assert [record.value for record in (await polled(consumer, 1)).records] == [b"2"]


async def test_a_partition_without_a_leader_holds_up_itself_alone() -> None:
    """Fails when no new partition is handed out for it, or when nobody is told of it."""
    consumer, library, topics = consuming(*(Message("t", n, 5, b"", b"%d" % n) for n in (1, 2)))
    topics.leaderless = {2}
    topics.answers.set()
    assert [record.value for record in (await polled(consumer, 1)).records] == [b"1"]
    with pytest.raises(Unavailable, match="no answer about partitions 2, which wait for a leader"):
        await consumer.ping()
    library.messages.append(Message("t", 1, 6, b"", b"more"))
    assert [record.value for record in (await polled(consumer, 1)).records] == [b"more"]
    topics.leaderless = set()
    consumer._check_again = 0.0
    assert [record.value for record in (await polled(consumer, 1)).records] == [b"2"]
    await consumer.ping()


async def test_whether_it_has_partitions() -> None:
    consumer, library, _ = consuming()
    await consumer.ping()
    places = [TopicPartition("t", n) for n in range(3)]
    consumer._member._on_revoke(library, places)  # type: ignore[arg-type]
    with pytest.raises(Degraded, match=r"a-group has more routers than .* it stands by"):
        await consumer.ping()
    consumer._member._on_lost(library, [])  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="has no partitions yet"):
        await consumer.ping()
