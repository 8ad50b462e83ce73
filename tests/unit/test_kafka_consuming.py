"""The router's side of Kafka while new assignments are checked, without a broker."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka import Message, TopicPartition

from chat4all.adapters.kafka import KafkaConsumer
from chat4all.adapters.kafka import consumer as kafka_consumer
from chat4all.adapters.kafka.lag import LagMeter
from chat4all.adapters.kafka.topics import Topic, Topics
from chat4all.domain.errors import Degraded, RouterStopped, Unavailable
from chat4all.domain.ids import LogPosition
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


async def test_a_batch_that_is_there_waits_for_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when each message is late by a wait that is for polls that have nothing else."""
    monkeypatch.setattr(kafka_consumer, "CHECK_SECONDS", 3_600)
    consumer, _, topics = consuming(Message("t", 0, 5, b"", b"0"))
    assert [record.value for record in (await polled(consumer, 1)).records] == [b"0"]
    assert not topics.answers.is_set()


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
    consumer, library, topics = consuming(Message("t", 1, 5, b"", b"of that topic"))
    topics.topic = topic
    topics.answers.set()
    with pytest.raises(RouterStopped, match=why):
        await polled(consumer, 1)
    topics.topic = Topic(EPOCH.topic_id, EPOCH.partitions)
    library.messages.append(Message("t", 0, 5, b"", b"0"))
    with pytest.raises(RouterStopped, match=why):
        await consumer.poll(100)


async def test_what_is_assigned_right_after_a_check_is_checked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when the rest after a check that failed follows every check."""
    monkeypatch.setattr(kafka_consumer, "CHECK_AGAIN_SECONDS", 3_600)
    consumer, library, topics = consuming(Message("t", 1, 5, b"", b"1"))
    topics.answers.set()
    await polled(consumer, 1)
    consumer._member._on_assign(library, [TopicPartition("t", 3)])  # type: ignore[arg-type]
    library.messages.append(Message("t", 3, 5, b"", b"3"))
    assert [record.value for record in (await polled(consumer, 1)).records] == [b"3"]


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


async def test_a_check_that_failed_is_not_made_again_at_once_nor_told_when_it_is_over() -> None:
    """Fails when each poll of a router that waits asks Kafka, or when readiness keeps the cause."""
    consumer, library, topics = consuming()
    topics.topic = None
    topics.answers.set()
    for _ in range(3):
        with pytest.raises(Unavailable, match="does not exist"):
            await polled(consumer, 1)
    assert topics.times == 1
    with pytest.raises(Unavailable, match="does not exist"):
        await consumer.ping()
    consumer._member._on_revoke(library, [TopicPartition("t", n) for n in (1, 2)])  # type: ignore[arg-type]
    assert not (await consumer.poll(10)).records
    await consumer.ping()


async def test_an_unexpected_error_of_a_check_is_told_and_the_check_made_again() -> None:
    consumer, library, topics = consuming()
    topics.offsets = {}
    topics.answers.set()
    with pytest.raises(KeyError):
        await polled(consumer, 1)
    topics.offsets = dict.fromkeys(range(EPOCH.partitions), 5)
    library.messages.append(Message("t", 1, 5, b"", b"1"))
    assert [record.value for record in (await polled(consumer, 1)).records] == [b"1"]


async def test_a_poll_that_is_not_waited_for_any_more_is_answered_by_the_next() -> None:
    """Fails when what it has taken is lost, or when two polls take at once."""
    consumer, _, _ = consuming(Message("t", 0, 5, b"", b"0"))
    hand_out, may_go_on = consumer._member.hand_out, threading.Event()
    is_handing_out = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(limit: int) -> Poll:
        poll = hand_out(limit)
        loop.call_soon_threadsafe(is_handing_out.set)
        assert may_go_on.wait(30)
        return poll

    consumer._member.hand_out = slowly  # type: ignore[method-assign]
    polling = asyncio.ensure_future(consumer.poll(10))
    async with asyncio.timeout(30):
        await is_handing_out.wait()
        polling.cancel()
        await asyncio.wait({polling})
        assert polling.cancelled()
        may_go_on.set()
        assert [record.value for record in (await consumer.poll(10)).records] == [b"0"]


async def test_a_busy_router_stays_in_its_group() -> None:
    """Fails when the library is not polled while a batch takes long, or is while it is polled."""
    consumer, library, topics = consuming()
    topics.answers.set()
    await consumer.poll(10)
    await consumer._serve_if_busy()
    assert library.paused == set()
    consumer._last_poll -= 2 * kafka_consumer.SERVE_SECONDS
    consumer._polling = asyncio.get_running_loop().create_future()
    await consumer._serve_if_busy()
    assert library.paused == set()
    consumer._polling = None
    await consumer._serve_if_busy()
    assert library.paused == {0, 1, 2}
    await consumer.poll(10)
    assert library.paused == set()
    await consumer._serve_if_busy()
    assert library.paused == set()


async def test_what_a_poll_took_in_the_moment_it_was_cancelled_comes_with_the_next_one() -> None:
    """Fails when it is lost: nobody would read it again before the partition is assigned anew."""
    consumer, _, _ = consuming()
    took: asyncio.Future[Poll] = asyncio.get_running_loop().create_future()
    consumer._polling = took
    polling = asyncio.ensure_future(consumer.poll(10))
    await asyncio.sleep(0)
    took.set_result(Poll([], {7: 1}, {}))
    await asyncio.sleep(0)  # it has ended, and its caller has not been told yet
    polling.cancel()
    await asyncio.wait({polling})
    assert polling.cancelled()
    assert (await consumer.poll(10)).assignments == {7: 1}
    assert consumer._polling is None


async def test_the_lag_is_what_follows_the_committed_offset_of_each_checked_partition() -> None:
    consumer, _, topics = consuming()
    consumer._lag = LagMeter(topics, EPOCH.topic)
    assert consumer.lag() == {}
    await consumer._measure()
    assert consumer.lag() == {0: 10}
    topics.answers.set()
    await consumer.poll(10)
    assert consumer.lag() == {0: 10, 1: 5, 2: 5}


async def test_commits_go_to_kafka_and_are_asked_about_when_it_confirms_none_for_long() -> None:
    consumer, library, _ = consuming()
    await consumer.poll(10)
    await consumer.commit([LogPosition(EPOCH.number, 0, 6)])
    assert library.requests == [{0: 7}]
    consumer._unconfirmed_seconds = 0.0
    with pytest.raises(Unavailable, match="has confirmed no commit for 0 s"):
        await consumer.commit([LogPosition(EPOCH.number, 0, 7)])


def test_a_heart_beats_three_times_in_a_session_and_a_name_is_the_members_own() -> None:
    """A member that is silent for a session, or too long between two polls, loses everything."""

    def config(**settings: Any) -> dict[str, Any]:
        return KafkaConsumer("127.0.0.1:9", EPOCH, "a-group", **settings)._member.config

    found = config(name="a-name", session_seconds=30.0, busy_seconds=600.0)
    assert found["group.instance.id"] == "a-name"
    assert found["session.timeout.ms"] == 30_000
    assert found["heartbeat.interval.ms"] == 1_000
    assert found["max.poll.interval.ms"] == 600_000
    found = config(session_seconds=1.5, busy_seconds=1.0)
    assert "group.instance.id" not in found
    assert found["heartbeat.interval.ms"] == 500
    assert found["max.poll.interval.ms"] == found["session.timeout.ms"] == 1_500


def test_the_library_neither_commits_nor_chooses_an_offset_by_itself() -> None:
    """What it commits by itself is not stored yet; where it begins by itself, records are lost."""
    config = KafkaConsumer("127.0.0.1:9", EPOCH, "a-group")._member.config
    assert config["group.id"] == "a-group"
    assert config["enable.auto.commit"] is False
    assert config["enable.auto.offset.store"] is False
    assert config["auto.offset.reset"] == "error"
    # Others keep what they have while one comes or goes.
    assert config["partition.assignment.strategy"] == "cooperative-sticky"


async def test_only_one_thread_calls_the_library() -> None:
    """It is not made for more, and what runs in between changes what is assigned."""
    consumer, _, _ = consuming()

    def thread() -> int:
        threading.Event().wait(0.01)
        return threading.get_ident()

    assert len(set(await asyncio.gather(*(consumer._call(thread) for _ in range(3))))) == 1


async def test_one_that_is_open_joins_its_group_and_works_in_the_background(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when it leaves the group while a store is unavailable, or its lag is never measured."""
    member, library = playing()
    checked(member, 0)
    member.subscribe = Mock()  # type: ignore[method-assign]
    monkeypatch.setattr(kafka_consumer, "Topics", lambda _: Asked())
    monkeypatch.setattr(kafka_consumer, "GroupMember", lambda *_: member)
    monkeypatch.setattr(kafka_consumer, "SERVE_SECONDS", 0.001)
    consumer = KafkaConsumer("127.0.0.1:9", EPOCH, "a-group")
    before = asyncio.all_tasks()
    await consumer.open()
    member.subscribe.assert_called_once_with()
    async with asyncio.timeout(30):
        while library.paused != {0} or consumer.lag() != {0: 10}:
            await asyncio.sleep(0.001)
        await consumer.close()
    assert library.is_closed
    assert asyncio.all_tasks() == before
    with pytest.raises(RuntimeError, match="shutdown"):
        await consumer.poll(1)


@pytest.mark.parametrize("leaving", [False, True])
async def test_an_end_waits_for_the_poll_and_leaves_the_check(leaving: bool) -> None:
    """Fails when the member is closed under a call that still runs, or the check goes on."""
    consumer, _, _ = consuming()
    member = Mock(wraps=consumer._member, assignments=consumer._assignments, is_fenced=True)
    member.close = Mock()
    consumer._member = member
    polling = asyncio.ensure_future(consumer.poll(10))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await consumer.close(leaving=leaving)
        assert polling.done()
        await polling
    member.close.assert_called_once_with(leaving=leaving)
    assert consumer._checking is not None
    assert consumer._checking.cancelled()
    assert consumer.is_fenced


async def test_a_poll_that_fails_keeps_none_from_ending() -> None:
    """Fails when a router that stops while Kafka is down leaves its group without a word."""
    consumer, _, topics = consuming()
    topics.topic = None
    topics.answers.set()
    consumer._member.close = Mock()  # type: ignore[method-assign]
    polling = asyncio.ensure_future(consumer.poll(10))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await consumer.close()
        with pytest.raises(Unavailable):
            await polling
    consumer._member.close.assert_called_once_with(leaving=False)
