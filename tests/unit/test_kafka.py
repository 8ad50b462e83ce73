"""The Kafka adapters' logic, without a broker."""

import asyncio
import time
from collections.abc import Iterable

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from chat4all.adapters.kafka import KafkaLog, KafkaProducer, Topics, partition_of
from chat4all.adapters.kafka.commit_reports import CommitReports
from chat4all.adapters.kafka.feed import RECORD_MAX, in_records
from chat4all.adapters.kafka.group_member import BYTES_MAX, TAKE_SECONDS, GroupMember
from chat4all.adapters.kafka.lag import LagMeter
from chat4all.domain.errors import Unavailable
from chat4all.domain.events import MessageStored, key_of
from chat4all.domain.records import Epoch
from chat4all.wire.events import decode_events
from tests.messages import message
from tests.records import CHATS

pytestmark = pytest.mark.anyio

EPOCH = Epoch(3, "chat_messages", "an id", 4)


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        # From org.apache.kafka.common.utils.UtilsTest.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_partitions_are_those_of_the_java_client(key: bytes, hashed: int) -> None:
    assert partition_of(key, 2**31) == hashed & 0x7FFFFFFF
    assert partition_of(key, 64) == (hashed & 0x7FFFFFFF) % 64


async def test_after_a_fatal_error_nothing_is_tried_and_the_process_is_told() -> None:
    told = asyncio.get_running_loop().create_future()
    producer = KafkaProducer("127.0.0.1:9", on_fatal=told.set_result)
    await producer.open()
    producer._take_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "all down"))
    fatal = KafkaError(KafkaError._FENCED, "there is another one", fatal=True)
    producer._take_error(fatal)
    assert "there is another one" in await told
    for attempt in (producer.ping("t"), KafkaLog(producer, EPOCH).append(CHATS[0], b"")):
        with pytest.raises(Unavailable, match="there is another one"):
            await attempt
    await producer.close()


class Flooding:
    """A library that always has one more message."""

    def __init__(self, size: int, seconds: float = 0) -> None:
        self.message = Message("t", 0, 1, b"", bytes(size))
        self.seconds = seconds

    def poll(self, _: float) -> Message:
        time.sleep(self.seconds)
        return self.message


@pytest.mark.parametrize(
    ("flood", "limit", "count"),
    [
        (Flooding(10), 500, 500),
        (Flooding(100_000), 500, BYTES_MAX // 100_000 + 1),
        (Flooding(10, seconds=TAKE_SECONDS / 4), 500, 5),
    ],
    ids=["count", "bytes", "time"],
)
def test_a_batch_is_bounded(flood: Flooding, limit: int, count: int) -> None:
    member = GroupMember(EPOCH, {})
    member._consumer = flood  # type: ignore[assignment]
    member.assignments.assign([0])
    member.take(limit, 1.0)
    assert 1 <= len(member.hand_out(limit).records) <= count


def test_what_was_taken_before_a_partition_went_is_not_handed_out() -> None:
    """Fails when it is kept by the partition's number alone (against EXACTNESS 2)."""
    member = GroupMember(EPOCH, {})
    member._consumer = Flooding(10)  # type: ignore[assignment]
    member.assignments.assign([0])
    member.take(5, 1.0)
    member.assignments.revoke([0])
    member.assignments.assign([0])
    assert not member.hand_out(5).records
    member.take(5, 1.0)
    assert len(member.hand_out(5).records) == 5


class BrokenHeaders(Message):
    """A message with a header whose name is not UTF-8, as the library reports it."""

    asked = 0

    def headers(self) -> list[tuple[str, str | bytes | None]] | None:
        self.asked += 1
        assert self.asked == 1, "the library crashes when it is asked again"
        raise SystemError("returned a result with an exception set")


def test_headers_that_cannot_be_read_do_not_stop_the_router() -> None:
    """Fails when the records taken with it are lost, or none is ever handed out."""
    sent: list[tuple[str, str | bytes | None]] = [("trace", b"1"), ("empty", None)]
    member = GroupMember(EPOCH, {})
    member.assignments.assign([0])
    member._taken = [
        (1, Message("t", 0, 1, b"", b"one", sent)),
        (1, BrokenHeaders("t", 0, 2, b"", b"two")),
        (1, Message("t", 0, 3, b"", b"three")),
    ]
    records = [*member.hand_out(2).records, *member.hand_out(2).records]
    assert [(record.value, list(record.headers)) for record in records] == [
        (b"one", sent),
        (b"two", []),
        (b"three", []),
    ]


def test_only_the_report_on_the_very_commit_counts() -> None:
    reports = CommitReports()
    assert not reports.confirm({0: 5})
    reports.add(None, [TopicPartition("t", 0, 4)])  # of a commit that was given up
    assert not reports.confirm({0: 5})
    reports.add(None, [TopicPartition("t", 0, 5)])
    assert reports.confirm({0: 5})
    reports.add(KafkaError(KafkaError.UNKNOWN_MEMBER_ID), [TopicPartition("t", 0, 6)])
    with pytest.raises(KafkaException):
        reports.confirm({0: 6})


class Ends(Topics):
    """A cluster whose log ends here, until it does not answer."""

    def __init__(self, ends: dict[int, int]) -> None:
        self.bounds = {partition: (0, end) for partition, end in ends.items()}
        self.is_there = True

    async def ends(
        self, topic: str, partitions: Iterable[int], seconds: float = 0
    ) -> dict[int, tuple[int, int]]:
        if not self.is_there:
            raise Unavailable("Kafka: all down")
        return {partition: self.bounds[partition] for partition in partitions}


async def test_the_lag_is_that_of_the_last_answer() -> None:
    topics = Ends({0: 10, 1: 5})
    meter = LagMeter(topics, EPOCH.topic)
    assert meter.lag({0: 3}) == {}
    await meter.measure({0, 1})
    assert meter.lag({0: 3, 1: 9}) == {0: 7, 1: 0}
    topics.is_there = False
    await meter.measure({0, 1})
    assert meter.lag({0: 4, 2: 1}) == {0: 6}


async def test_a_broker_that_is_nowhere_is_unavailable() -> None:
    producer = KafkaProducer("127.0.0.1:9")
    await producer.open()
    with pytest.raises(Unavailable):
        await producer.ping("t")
    await producer.close()


def test_announcements_are_cut_into_records_that_a_broker_takes() -> None:
    big = "ß" * 10_000  # 20 KB in UTF-8
    events = [MessageStored(message(n, CHATS[n % 2], sender=big)) for n in range(1, 100)]
    records = list(in_records(events))
    assert len(records) > 6
    assert all(len(value) < RECORD_MAX + 100 for _, value in records)
    for chat in CHATS[:2]:
        found = [
            event.message.seq
            for key, value in records
            for event in decode_events(value)
            if key.decode() == chat and isinstance(event, MessageStored)
        ]
        assert found == [e.message.seq for e in events if key_of(e) == chat]
