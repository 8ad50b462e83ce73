"""Which topic is the log, and how one that exists differs from ours, without a broker."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import TopicPartition

from chat4all.adapters.kafka import (
    AwaitedLog,
    Difference,
    KafkaLog,
    KafkaProducer,
    TopicFacts,
    Topics,
    awaited_log,
    differences,
    feed_settings,
    log_settings,
    topics,
)
from chat4all.adapters.kafka.connection import client_config
from chat4all.adapters.kafka.producer import Delivered
from chat4all.adapters.kafka.topics import Topic
from chat4all.domain.errors import OutcomeUnknown, StartRefused, Unavailable
from chat4all.domain.records import Epoch, Headers
from tests.records import CHATS

pytestmark = pytest.mark.anyio

EPOCH = Epoch(0, "chat_messages", "an id", 4)
RIGHT = Topic("an id", 4)


@pytest.mark.parametrize("quiet", [True, False])
def test_no_client_lets_a_broker_create_topics(quiet: bool) -> None:
    assert client_config("127.0.0.1:9", quiet=quiet)["allow.auto.create.topics"] is False


@pytest.mark.parametrize("settings", [log_settings(30, 3), feed_settings()])
def test_each_setting_counts(settings: dict[str, str]) -> None:
    def found(actual: dict[str, str]) -> list[Difference]:
        return differences(TopicFacts("an id", 4, 1, actual, 0, 0), settings)

    assert found(settings | {"compression.type": "zstd"}) == []
    assert found(settings | {"max.message.bytes": "9999999"}) == []
    for name, expected in settings.items():
        assert found(settings | {name: "0"}) == [Difference(name, "0", expected)]
        missing = {other: value for other, value in settings.items() if other != name}
        assert found(missing) == [Difference(name, None, expected)]


class Broker(Topics):
    """A cluster with this topic, or one that does not answer."""

    def __init__(self) -> None:
        self.about: Topic | Exception | None = RIGHT
        self.asked = 0

    async def find(self, topic: str) -> Topic | None:
        assert topic == EPOCH.topic
        self.asked += 1
        if isinstance(self.about, Exception):
            raise self.about
        return self.about


class Recorded:
    """The epochs of a store; None before `chat4all migrate`."""

    epoch: Epoch | None = EPOCH

    async def newest(self) -> Epoch | None:
        return self.epoch

    async def add(self, epoch: Epoch) -> Epoch:
        raise NotImplementedError


class Appending(KafkaProducer):
    """A producer whose broker gives the offset that is set."""

    offset = 0

    def __init__(self) -> None:
        super().__init__("nowhere:9")

    def send(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Headers = (),
        partition: int | None = None,
    ) -> asyncio.Future[Delivered]:
        done = asyncio.get_running_loop().create_future()
        done.set_result(Delivered(1, self.offset, None))
        self.offset += 1
        return done

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def ping(self, topic: str) -> None: ...


@asynccontextmanager
async def opened(
    broker: Broker, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AwaitedLog]:
    monkeypatch.setattr(awaited_log, "LOOK_SECONDS", 0.001)
    log = AwaitedLog("nowhere:9", EPOCH.topic, recorded, broker)
    log.producer = Appending()
    async with log.open(), asyncio.timeout(20):
        yield log


async def compared(broker: Broker) -> None:
    """Return once the topic was asked for and compared again."""
    target = broker.asked + 2
    while broker.asked < target:
        await asyncio.sleep(0)


async def refusal(log: AwaitedLog) -> str:
    """Return why nothing is accepted; `ping` must say the same."""
    with pytest.raises(Unavailable) as ping:
        await log.ping()
    with pytest.raises(Unavailable) as refused:
        await log.append(CHATS[0], b"")
    assert str(refused.value) == str(ping.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("about", "says"),
    [
        (None, "Kafka has no topic chat_messages"),
        (Topic("another id", 4), "it was remade"),
        (Topic("an id", 5), "has 5 partitions instead of 4"),
    ],
)
async def test_only_the_topic_that_was_recorded_takes_records(
    about: Topic | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when it is compared only at the start, or never again after it was another one."""
    broker = Broker()
    broker.about = about
    async with opened(broker, Recorded(), monkeypatch) as log:
        await compared(broker)
        assert says in await refusal(log)
        assert not log.found.done()
        for _ in range(2):
            broker.about = RIGHT
            await compared(broker)
            await log.append(CHATS[0], b"")
            await log.ping()
            broker.about = about
            await compared(broker)
            assert says in await refusal(log)
        assert await log.found == EPOCH


async def test_a_broker_that_does_not_answer_leaves_the_verdict_as_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker, recorded = Broker(), Recorded()
    broker.about = RuntimeError("a defect")
    async with opened(broker, recorded, monkeypatch) as log:
        await compared(broker)
        assert await refusal(log) == awaited_log.UNEXPECTED
        broker.about = Unavailable("no answer")
        await compared(broker)
        assert await refusal(log) == "no answer"
        broker.about = RIGHT
        await compared(broker)
        await log.append(CHATS[0], b"")
        broker.about = Unavailable("no answer")
        await compared(broker)
        await log.append(CHATS[0], b"")
    levels = [entry.levelno for entry in caplog.records if entry.name == awaited_log.__name__]
    assert levels.count(logging.ERROR) == 1


async def test_a_log_that_is_not_made_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, recorded = Broker(), Recorded()
    recorded.epoch = None
    async with opened(broker, recorded, monkeypatch) as log:
        while await refusal(log) != awaited_log.NO_LOG:
            await asyncio.sleep(0)
        recorded.epoch = EPOCH
        assert await log.found == EPOCH
        await log.append(CHATS[0], b"")


async def test_offsets_that_go_back_stop_the_log_until_its_topic_was_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two comparisons a remade topic gives itself away: it begins at offset 0 again."""
    producer = Appending()
    log = KafkaLog(producer, EPOCH)
    for offset in (5, 6, -1, 9):  # -1: a repetition, whose offset the broker does not report
        producer.offset = offset
        assert (await log.append(CHATS[0], b"")).offset == offset
    producer.offset = 0
    with pytest.raises(OutcomeUnknown, match="went back"):
        await log.append(CHATS[0], b"")
    for refused in (log.append(CHATS[0], b""), log.ping()):
        with pytest.raises(Unavailable, match="went back"):
            await refused

    broker = Broker()
    async with opened(broker, Recorded(), monkeypatch) as awaited:
        assert isinstance(awaited.producer, Appending)
        awaited.producer.offset = 5
        await awaited.found
        await awaited.append(CHATS[0], b"")
        awaited.producer.offset = 0
        with pytest.raises(OutcomeUnknown):
            await awaited.append(CHATS[0], b"")
        await until_taken(lambda: awaited.append(CHATS[0], b""))


async def until_taken(append: Callable[[], object]) -> None:
    while True:
        try:
            await append()  # type: ignore[misc]
            return
        except Unavailable:
            await asyncio.sleep(0)


class Group:
    """A consumer of a group that has committed this in partition 0; the log begins at 3."""

    committed_offset = 0

    def __init__(self, _: object) -> None:
        pass

    def committed(self, places: list[TopicPartition], **_: object) -> list[TopicPartition]:
        return [TopicPartition(places[0].topic, 0, self.committed_offset)]

    def get_watermark_offsets(self, _: TopicPartition, **__: object) -> tuple[int, int]:
        return 3, 9

    def close(self) -> None:
        pass


async def test_a_new_store_takes_no_log_that_was_read_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topics, "Consumer", Group)
    monkeypatch.setattr(Group, "committed_offset", 5)
    found = Topics("127.0.0.1:9")
    await found.begin("log", 1, "routers")
    with pytest.raises(StartRefused, match="group routers has read records 3 to 4"):
        await found.begin("log", 1, "routers", is_store_new=True)
    monkeypatch.setattr(Group, "committed_offset", 3)
    await found.begin("log", 1, "routers", is_store_new=True)
