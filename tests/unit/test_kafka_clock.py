"""A clock that is ahead of Kafka's, and one that was set right, without a broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chat4all.adapters.kafka import AwaitedLog, KafkaLog, KafkaProducer, awaited_log
from chat4all.adapters.kafka.clock import CLOCK_AHEAD_MAX_MS, PROBE, PROBE_SECONDS, ClockWatch
from chat4all.adapters.kafka.producer import Delivered
from chat4all.domain.errors import OutcomeUnknown, Unavailable
from chat4all.domain.records import Headers
from tests.records import CHATS
from tests.unit.test_kafka_topics import EPOCH, Broker, Recorded

pytestmark = pytest.mark.anyio

NOW_MS = 1_000_000


class Stamping(KafkaProducer):
    """A producer whose broker has a clock of its own; `took_ms` is how long a record takes."""

    def __init__(self) -> None:
        super().__init__("nowhere:9")
        self.now_ms = NOW_MS
        """Our own clock."""
        self.ahead_ms = 0
        self.took_ms = 0
        self.has_stamps = True
        self.leaderless: set[int | None] = set()
        self.sent: list[tuple[str, bytes]] = []

    def send(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Headers = (),
        partition: int | None = None,
    ) -> asyncio.Future[Delivered]:
        self.sent.append((topic, key))
        self.now_ms += self.took_ms
        stamp = self.now_ms - self.ahead_ms
        done = asyncio.get_running_loop().create_future()
        if partition in self.leaderless:
            done.set_exception(OutcomeUnknown("the partition has no leader"))
            return done
        done.set_result(Delivered(1, -1, stamp if self.has_stamps else None))
        return done

    async def partitions(self, topic: str) -> int:
        return 2

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def ping(self, topic: str) -> None: ...


async def is_right(log: KafkaLog | AwaitedLog) -> bool:
    """Say whether it is ready; only then are its ids fresh."""
    right = log.makes_fresh_ids()
    if right:
        await log.ping()
    else:
        with pytest.raises(Unavailable, match="clock"):
            await log.ping()
    return right


async def test_a_clock_that_is_far_ahead_of_the_brokers_is_not_ready() -> None:
    producer = Stamping()
    log = KafkaLog(producer, EPOCH, ClockWatch(lambda: producer.now_ms))
    for ahead_ms, right in ((0, True), (CLOCK_AHEAD_MAX_MS + 100, False), (-5_000, True)):
        producer.ahead_ms = ahead_ms
        await log.append(CHATS[0], b"")
        assert await is_right(log) == right


async def test_a_slow_acknowledgement_does_not_make_a_wrong_clock_right() -> None:
    """The broker's time lies anywhere between sending and acknowledgement."""
    producer = Stamping()
    log = KafkaLog(producer, EPOCH, ClockWatch(lambda: producer.now_ms))
    for ahead_ms, took_ms, right in (
        (0, 2_000, True),
        (700, 0, False),
        (700, 2_000, False),
        (0, 0, True),
        (700, 2_000, True),  # it may as well be right: nothing shows yet that it is not
    ):
        producer.ahead_ms, producer.took_ms = ahead_ms, took_ms
        await log.append(CHATS[0], b"")
        assert await is_right(log) == right


@asynccontextmanager
async def opened(producer: Stamping, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AwaitedLog]:
    monkeypatch.setattr(awaited_log, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(awaited_log, "PROBE_SECONDS", 0.001)
    log = AwaitedLog("nowhere:9", EPOCH.topic, Recorded(), Broker(), topic_events="chat_events")
    log.producer = producer
    log._clock = ClockWatch(lambda: producer.now_ms)
    async with log.open(), asyncio.timeout(20):
        await log.found
        yield log


async def becomes(log: AwaitedLog, right: bool) -> None:
    while await is_right(log) != right:
        await asyncio.sleep(0)


async def test_without_traffic_it_is_found_wrong_and_found_right_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when only a message that somebody sends can tell; nobody is sent to who is unready."""
    producer = Stamping()
    async with opened(producer, monkeypatch) as log:
        await becomes(log, right=True)
        producer.ahead_ms = 700
        producer.now_ms += round(PROBE_SECONDS * 1000)
        await becomes(log, right=False)
        producer.ahead_ms = 0
        producer.now_ms -= 700  # the clock was set right
        await becomes(log, right=True)
        assert set(producer.sent) == {("chat_events", PROBE)}


async def test_it_is_found_right_again_while_a_partition_has_no_leader() -> None:
    producer = Stamping()
    clock = ClockWatch(lambda: producer.now_ms)
    clock.compare("chat_messages", producer.now_ms, Delivered(0, 0, producer.now_ms - 700))
    producer.leaderless = {0, 1}
    with pytest.raises(OutcomeUnknown):
        await clock.probe(producer, "chat_events")
    assert not clock.agrees()
    producer.leaderless = {0}
    producer.ahead_ms = 700
    await clock.probe(producer, "chat_events")
    assert not clock.agrees()
    producer.ahead_ms = 0  # it was set right
    await clock.probe(producer, "chat_events")
    assert clock.agrees()


async def test_traffic_makes_probes_unnecessary(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = Stamping()
    clock = ClockWatch(lambda: producer.now_ms)
    for _ in range(3):
        clock.compare("t", producer.now_ms, Delivered(0, 0, producer.now_ms))
        await clock.probe(producer, "chat_events")
    assert producer.sent == []
    producer.now_ms += round(PROBE_SECONDS * 1000)
    await clock.probe(producer, "chat_events")
    assert len(producer.sent) == 1


async def test_each_broker_is_compared_for_itself() -> None:
    """Fails when a good answer of one broker hides that another one's clock is behind."""
    clock = ClockWatch(lambda: NOW_MS)
    behind, right = Delivered(0, 0, NOW_MS - 6_000), Delivered(1, 0, NOW_MS)
    clock.compare("t", NOW_MS, behind)
    clock.compare("t", NOW_MS, right)
    assert not clock.agrees()
    producer = Stamping()
    await clock.probe(producer, "chat_events")  # all of whose partitions are right
    assert len(producer.sent) == 2
    assert clock.agrees()
    clock.compare("t", NOW_MS, behind)
    clock.compare("t", NOW_MS, right._replace(partition=0))
    assert clock.agrees()


async def test_a_clock_that_was_set_back_is_compared_at_once() -> None:
    producer = Stamping()
    clock = ClockWatch(lambda: producer.now_ms)
    await clock.probe(producer, "chat_events")
    producer.now_ms -= 3_600_000
    await clock.probe(producer, "chat_events")
    assert len(producer.sent) == 2


async def test_a_topic_without_the_brokers_stamps_is_told_of() -> None:
    producer = Stamping()
    producer.has_stamps = False
    with pytest.raises(Unavailable, match="chat_events keeps the timestamps of those who write"):
        await ClockWatch(lambda: producer.now_ms).probe(producer, "chat_events")
