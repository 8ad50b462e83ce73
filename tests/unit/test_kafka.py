"""The Kafka adapters' logic, without a broker."""

import asyncio
import uuid
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError

from chat4all.adapters.kafka import (
    KafkaGroup,
    KafkaLog,
    KafkaProducer,
    Topics,
    partition_of,
    producer,
)
from chat4all.adapters.kafka.feed import RECORD_MAX, in_records
from chat4all.adapters.kafka.lag import LagMeter
from chat4all.domain.errors import Degraded, Unavailable
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


@pytest.mark.thorough
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


@pytest.mark.parametrize("answer", ["named", "other", "partial"])
async def test_whether_a_name_is_free(answer: str) -> None:
    """Fails when a group that is not known is taken for one without members."""
    member = {"named": "a-router-8002-", "other": "a-router-80021-", "partial": "x-"}[answer]
    group = KafkaGroup("127.0.0.1:9", "g")
    found = SimpleNamespace(error=None, members=[SimpleNamespace(id=member + str(uuid.uuid4()))])
    group._admin = SimpleNamespace(  # type: ignore[assignment]
        list_groups=lambda *_: [] if answer == "partial" else [found]
    )
    if answer == "partial":
        with pytest.raises(Unavailable, match="not known"):
            await group.has_named("a-router-8002")
    else:
        assert await group.has_named("a-router-8002") == (answer == "named")


async def test_a_partition_without_a_leader_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when all gateways are unready, though most conversations go on."""
    leaders = {0: 1, 1: -1, 2: -1}

    async def reach(*_: object) -> object:
        partitions = {n: SimpleNamespace(id=n, leader=leader) for n, leader in leaders.items()}
        return SimpleNamespace(topics={"t": SimpleNamespace(error=None, partitions=partitions)})

    monkeypatch.setattr(producer, "reach", reach)
    kafka = KafkaProducer("127.0.0.1:9")
    await kafka.open()
    with pytest.raises(Degraded, match="no leader for partitions 1, 2, which take nothing"):
        await kafka.ping("t")
    leaders[0] = -1
    with pytest.raises(Unavailable, match="no partition has a leader"):
        await kafka.ping("t")
    leaders |= {0: 1, 1: 2, 2: 3}
    await kafka.ping("t")
    await kafka.close()
