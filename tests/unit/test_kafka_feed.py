"""What a gateway makes of the records of the live feed, without a broker."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition

from chat4all.adapters.kafka import KafkaAnnouncements, KafkaFeed
from chat4all.adapters.kafka import feed as module
from chat4all.adapters.kafka.clock import NO_EVENTS, PROBE
from chat4all.adapters.kafka.feed import HEARTBEAT, SILENCE_SECONDS
from chat4all.domain.errors import Degraded, Unavailable
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Role
from chat4all.ports.feed import Decode
from chat4all.usecases.versions import ConversationVersions
from tests.clocks import Clock
from tests.feeds import Listener, a_hub
from tests.records import CHATS

pytestmark = pytest.mark.anyio

MEMBERS = {Username("ana"): Role.OWNER}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def versions(clock: Clock) -> ConversationVersions:
    return ConversationVersions(SILENCE_SECONDS, clock=clock)


@pytest.fixture
def feed(versions: ConversationVersions, clock: Clock) -> KafkaFeed:
    """A feed of two partitions."""
    reading = KafkaFeed("127.0.0.1:9", "t", clock=clock)
    reading.listen(a_hub(versions))
    reading._heard_at = {0: float("-inf"), 1: float("-inf")}
    return reading


def record(partition: int, key: bytes = HEARTBEAT, value: bytes = b"2") -> Message:
    return Message("t", partition, 0, key, value)


async def test_a_comparison_of_clocks_is_no_event(feed: KafkaFeed) -> None:
    """Fails when readers of the feed take it for one that cannot be understood, and start anew."""
    listener = Listener()
    feed.listen(listener)
    async with listener.follow() as follower:
        feed._take([record(0, PROBE, NO_EVENTS)])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await follower.next()


def test_it_is_heard_once_every_partition_was(
    feed: KafkaFeed, versions: ConversationVersions
) -> None:
    """Mutant: any record makes the feed alive."""
    feed._take([record(0)])
    feed._take([record(0), record(0)])
    assert not versions.is_heard()
    feed._take([record(1)])
    assert versions.is_heard()


def test_one_silent_partition_makes_it_silent_in_time(
    feed: KafkaFeed, versions: ConversationVersions, clock: Clock
) -> None:
    """Mutants: any record makes the feed alive; time counts from a round of all partitions."""
    feed._take([record(0), record(1)])
    version = versions.current(CHATS[0], MEMBERS)
    for _ in range(2):
        clock.now += SILENCE_SECONDS / 3
        feed._take([record(1)])
        assert versions.is_current(CHATS[0], version)
    clock.now += SILENCE_SECONDS / 3
    feed._take([record(1)])
    assert not versions.is_heard()
    feed._take([record(0, CHATS[1].encode(), b"[]")])
    assert versions.is_heard()
    assert not versions.is_current(CHATS[0], version)


@pytest.mark.parametrize("value", [b"", b"2", b"1", b"two", b"9" * 5_000])
def test_heartbeats_that_tell_of_no_new_partitions(feed: KafkaFeed, value: bytes) -> None:
    feed._take([record(0, value=value)])


def test_what_was_read_before_an_error_is_announced(feed: KafkaFeed) -> None:
    listener = Counting()
    feed.listen(listener)
    with pytest.raises(Unavailable):
        feed._take([record(0, b"a chat"), refused(), record(0, b"another")])
    assert listener.keys == ["a chat"]


class Announcing:
    """A producer, and a broker that tells of partitions as it is set."""

    def __init__(self) -> None:
        self.count: int | None = None
        self.sent: list[tuple[bytes, bytes, int | None]] = []

    async def partitions(self, _: str) -> int:
        if self.count is None:
            raise Unavailable("no answer")
        return self.count

    def send(
        self, _: str, key: bytes, value: bytes, *, partition: int | None = None
    ) -> "asyncio.Future[None]":
        self.sent.append((key, value, partition))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


async def test_a_heartbeat_reaches_every_partition_there_is_and_names_their_number() -> None:
    """Fails when new partitions are not found, or a slow answer about them stops the heartbeat."""
    producer = Announcing()
    announcements = KafkaAnnouncements(producer, "t")  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        await announcements.beat()
    for count, expected in ((1, 1), (2, 2), (None, 2)):
        producer.count, producer.sent = count, []
        await announcements.beat()
        number = str(expected).encode()
        assert producer.sent == [(HEARTBEAT, number, n) for n in range(expected)]


def test_a_heartbeat_that_tells_of_new_partitions_ends_the_reading_of_the_others(
    feed: KafkaFeed,
) -> None:
    with pytest.raises(Unavailable, match="more partitions"):
        feed._take([record(0, value=b"3")])


class Counting:
    """A listener that counts what it is told."""

    def __init__(self) -> None:
        self.losses = 0
        self.keys: list[str] = []

    def announced(self, key: str, decode: Decode) -> None:
        self.keys.append(key)

    def lost(self) -> None:
        self.losses += 1

    def alive(self, seconds_ago: float = 0.0) -> None:
        pass


class Library:
    """The library's consumer: a topic of one partition, whose reads are set."""

    def __init__(self, reads: Sequence[Message]) -> None:
        self.reads = deque(reads)
        self.began = 0
        self.idle = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def unassign(self) -> None:
        pass

    def consume(self, _count: int, _seconds: float) -> Sequence[Message]:
        return []

    def list_topics(self, topic: str, _seconds: float) -> "Library":
        return self

    @property
    def topics(self) -> dict[str, "Library"]:
        return {"t": self}

    error = None
    partitions: Sequence[int] = (0,)

    def get_watermark_offsets(self, _: TopicPartition, _seconds: float) -> tuple[int, int]:
        return 0, 0

    def assign(self, _: Sequence[TopicPartition]) -> None:
        self.began += 1

    def poll(self, _: float) -> Message | None:
        if self.reads:
            return self.reads.popleft()
        self.loop.call_soon_threadsafe(self.idle.set)
        return None

    def close(self) -> None:
        pass


def refused() -> Message:
    return Message("t", 0, 0, error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))


async def test_a_feed_that_may_not_be_read_is_one_outage(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Fails when the feed counts as read because its topic was found."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    library, listener = Library([refused() for _ in range(5)]), Counting()
    library.reads.append(record(0, b"a chat"))
    monkeypatch.setattr(module, "Consumer", lambda _: library)
    feed = KafkaFeed("127.0.0.1:9", "t")
    feed.listen(listener)
    with caplog.at_level(logging.INFO):
        await feed.open()
        with pytest.raises(Degraded):
            await feed.ping()
        async with asyncio.timeout(20):
            await library.idle.wait()
            while listener.keys != ["a chat"]:
                await asyncio.sleep(0.001)
        await feed.ping()
        await feed.close()
    assert library.began == 6
    assert listener.losses == 1
    assert [entry.message for entry in caplog.records] == ["feed waits"]


async def test_a_stop_does_not_ask_a_broker_for_every_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when `close` waits until each partition was asked for in vain."""

    is_closing = threading.Event()

    class Slow(Library):
        partitions: Sequence[int] = range(64)
        asked = 0

        def get_watermark_offsets(self, _: TopicPartition, _seconds: float) -> tuple[int, int]:
            self.asked += 1
            self.loop.call_soon_threadsafe(self.idle.set)
            assert is_closing.wait(20)
            return 0, 0

    library = Slow([])
    monkeypatch.setattr(module, "Consumer", lambda _: library)
    feed = KafkaFeed("127.0.0.1:9", "t")
    await feed.open()
    async with asyncio.timeout(20):
        await library.idle.wait()
        closing = asyncio.create_task(feed.close())
        await asyncio.sleep(0)
        is_closing.set()
        await closing
    assert library.asked == 1


BYTES = [
    b'[{"key": "\xff"}]',
    b"\xff\xfe",
    b"",
    b"null",
    b"[" * 100_000,
    b"{}",
    b'[{"type": "message_stored"}]',
    b'[{"type": "marker_moved", "marker": {"username": "\xff"}}]',
    b"\x00" * 1_000,
]


async def test_no_record_ends_the_reading_whatever_its_bytes(
    monkeypatch: pytest.MonkeyPatch, versions: ConversationVersions, clock: Clock
) -> None:
    """Fails when one of them does, or when `ping` is good though nothing is read any more."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    hub = a_hub(versions)
    library = Library(
        [
            *(Message("t", 0, 0, key, value) for value in BYTES for key in (b"\xff", b"a chat")),
            Message("t", 0, 0, None, None),
            record(0, value=b"\xff"),
            record(0, b"the last"),
        ]
    )
    monkeypatch.setattr(module, "Consumer", lambda _: library)
    feed, keys = KafkaFeed("127.0.0.1:9", "t", clock=clock), []
    announced = hub.announced

    def note(key: str, decode: Decode) -> None:
        keys.append(key)
        announced(key, decode)

    monkeypatch.setattr(hub, "announced", note)
    feed.listen(hub)
    with hub.held(ConversationId("a chat")):  # or else it would not be decoded
        await feed.open()
        async with asyncio.timeout(20):
            while keys[-1:] != ["the last"]:
                await asyncio.sleep(0.001)
    await feed.ping()
    assert library.began == 1
    await feed.close()


async def test_an_unexpected_error_begins_the_reading_anew_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)

    class Odd(Library):
        odd = 3

        def poll(self, seconds: float) -> Message | None:
            if self.began and self.odd:
                self.odd -= 1
                raise SystemError("of the library")
            return super().poll(seconds)

    library, listener = Odd([record(0, b"a chat")]), Counting()
    monkeypatch.setattr(module, "Consumer", lambda _: library)
    feed = KafkaFeed("127.0.0.1:9", "t")
    feed.listen(listener)
    await feed.open()
    async with asyncio.timeout(20):
        while listener.keys != ["a chat"]:
            await asyncio.sleep(0.001)
    await feed.ping()
    await feed.close()
    assert library.began == 4
    assert [entry.exc_info is not None for entry in caplog.records] == [True]
    with pytest.raises(Degraded):
        await feed.ping()
