"""Topics on a broker that creates whatever is asked about: only `chat4all migrate` creates any."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewTopic,
)

from chat4all.adapters.kafka import (
    FEED_ADDED,
    AwaitedLog,
    KafkaAnnouncements,
    KafkaConsumer,
    KafkaFeed,
    KafkaGroup,
    KafkaInspection,
    KafkaLog,
    KafkaProducer,
    Topics,
    feed_settings,
    log_settings,
)
from chat4all.adapters.kafka.clock import ClockWatch
from chat4all.domain.errors import StartRefused, Unavailable
from chat4all.domain.records import Epoch
from chat4all.operations.migrating import _make_log
from engines import CassandraNode, KafkaBroker
from tests.cluster.services import PARTITIONS, Service, a_cluster, all_ready
from tests.cluster.test_services import People
from tests.contract.test_live_feed import event
from tests.databases import Databases
from tests.faults.running import call
from tests.faults.running import until as until_true
from tests.records import CHATS

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(180, func_only=True),
]

LOG = log_settings(30, 1)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path_factory.mktemp("kafka"), auto_create=True) as found:
        yield found


def new_name() -> str:
    return f"t{uuid.uuid4().hex}"


def topics_of(broker: KafkaBroker) -> set[str]:
    found = AdminClient({"bootstrap.servers": broker.address}).list_topics(timeout=10).topics
    return set(found) - {"__consumer_offsets"}


async def create(
    broker: KafkaBroker, name: str, partitions: int, settings: Mapping[str, str]
) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    made = admin.create_topics([NewTopic(name, partitions, 1, config=dict(settings))])
    await asyncio.wrap_future(made[name])


async def delete(broker: KafkaBroker, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    await asyncio.wrap_future(admin.delete_topics([name])[name])


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


class Recorded:
    """The epochs that a store has."""

    def __init__(self, epoch: Epoch) -> None:
        self.epoch = epoch

    async def newest(self) -> Epoch:
        return self.epoch

    async def add(self, epoch: Epoch) -> Epoch:
        return self.epoch


# Raised inside the library, the warning would be taken for a failed import.
@pytest.mark.filterwarnings("ignore:list_groups:DeprecationWarning")
async def test_nobody_creates_a_topic_by_asking_about_it(broker: KafkaBroker) -> None:
    """Fails when one of the clients leaves it to the broker whether a topic is created."""
    before = topics_of(broker)
    log = Epoch(0, new_name(), "an id", 4)
    events = new_name()
    producer = KafkaProducer(broker.address, deadline=3.0)
    feed = KafkaFeed(broker.address, events)
    consumer = KafkaConsumer(broker.address, log, log.topic, session_seconds=6.0, wait_seconds=0.5)
    await producer.open()
    await feed.open()
    await consumer.open()
    announcements = KafkaAnnouncements(producer, events)
    asked: list[Awaitable[object]] = [
        producer.ping(log.topic),
        producer.partitions(events),
        announcements.beat(),
        announcements.announce([event(1)]),
        KafkaLog(producer, log).append(CHATS[0], b""),
        consumer.poll(10),
        KafkaGroup(broker.address, log.topic).state(log),
        Topics(broker.address).ends(log.topic, [0], 2.0),
        Topics(broker.address).find(log.topic),
        KafkaInspection(broker.address).topic(events),
    ]
    try:
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(answer, Unavailable) or not isinstance(answer, Exception), answer
        with pytest.raises(Unavailable, match="Kafka has no topic"):
            await producer.ping(log.topic)
    finally:
        await consumer.close()
        await feed.close()
        await producer.close()
    assert topics_of(broker) == before


@pytest.mark.parametrize(
    ("partitions", "settings", "says"),
    [
        (1, LOG, "it has 1 partitions instead of 4"),
        (8, LOG, "it has 8 partitions instead of 4"),
        (4, LOG | {"cleanup.policy": "compact"}, "cleanup.policy is compact and should be delete"),
        (4, LOG | {"retention.ms": "1000"}, "retention.ms is 1000 and should be 2592000000"),
        (4, LOG | {"retention.bytes": "1000"}, "retention.bytes is 1000 and should be -1"),
        (4, LOG | {"message.timestamp.type": "CreateTime"}, "should be LogAppendTime"),
        (4, LOG | {"min.insync.replicas": "3"}, "min.insync.replicas is 3 and should be 1"),
        (4, LOG | {"unclean.leader.election.enable": "true"}, "should be false"),
        (4, LOG | {"max.message.bytes": "1000"}, "max.message.bytes is 1000 and should be"),
        (4, {}, "message.timestamp.type is CreateTime and should be LogAppendTime"),
    ],
)
async def test_a_log_that_exists_is_adopted_only_as_it_would_be_created(
    broker: KafkaBroker, partitions: int, settings: Mapping[str, str], says: str
) -> None:
    name = new_name()
    await create(broker, name, partitions, settings)
    with pytest.raises(StartRefused, match=says) as refused:
        await Topics(broker.address).make(name, 4, 1, LOG)
    assert f"topic {name} is not as `chat4all migrate` makes it" in str(refused.value)
    if partitions == 4:
        assert (
            f"kafka-configs.sh --bootstrap-server {broker.address} --alter --topic {name}"
            in str(refused.value)
        )


async def test_what_was_created_before_is_adopted(broker: KafkaBroker) -> None:
    name, events = new_name(), new_name()
    topics = Topics(broker.address)
    made = await topics.make(name, 4, 1, LOG)
    await create(broker, events, 8, feed_settings() | {"max.message.bytes": "9999999"})
    assert await topics.make(name, 4, 1, LOG) == made
    # A feed may have gained partitions since, and may take larger records.
    found = await topics.make(events, 4, 1, feed_settings(), may_have_more=True)
    assert found.partitions == 8
    with pytest.raises(StartRefused, match="it has 8 partitions instead of 16"):
        await topics.make(events, 16, 1, feed_settings(), may_have_more=True)
    with pytest.raises(StartRefused, match="it has 1 copies instead of 3"):
        await topics.make(name, 4, 3, LOG)


async def test_a_feed_of_an_earlier_release_is_given_what_it_lacks(broker: KafkaBroker) -> None:
    """Its records had the timestamps of those who wrote them."""
    old = {name: value for name, value in feed_settings().items() if name not in FEED_ADDED}
    name, changed = new_name(), new_name()
    await create(broker, name, 4, old)
    await create(broker, changed, 4, old | {"message.timestamp.type": "CreateTime"})
    topics = Topics(broker.address)
    for _ in range(2):
        await topics.make(name, 4, 1, feed_settings(), added=FEED_ADDED)
    facts = await KafkaInspection(broker.address).topic(name)
    assert facts is not None
    assert facts.settings["message.timestamp.type"] == "LogAppendTime"
    with pytest.raises(StartRefused, match=r"message\.timestamp\.type is CreateTime"):
        await topics.make(changed, 4, 1, feed_settings(), added=FEED_ADDED)


class Keyspace:
    """The epochs of a keyspace that was just made."""

    def __init__(self) -> None:
        self.epoch: Epoch | None = None

    async def newest(self) -> Epoch | None:
        return self.epoch

    async def add(self, epoch: Epoch) -> Epoch:
        self.epoch = self.epoch or epoch
        return self.epoch


async def test_a_log_that_was_read_for_another_keyspace_is_refused(broker: KafkaBroker) -> None:
    """Fails when a keyspace that was dropped is made anew, and its history begins in the middle."""
    name = new_name()
    settings: Any = SimpleNamespace(
        kafka=SimpleNamespace(
            bootstrap=broker.address, topic=name, topic_events=f"{name}-events", group=name
        ),
        cassandra=SimpleNamespace(keyspace="the_keyspace"),
        topics=SimpleNamespace(partitions=2, replicas=1, retention_days=30),
    )
    await create(broker, name, 2, LOG)
    producer = Producer({"bootstrap.servers": broker.address})
    for partition in range(2):
        producer.produce(name, b"{}", b"key", partition)
    producer.flush(30)
    first, again = Keyspace(), Keyspace()
    for _ in range(2):  # adopts what exists, and changes nothing when it is run again
        await _make_log(settings, first)
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": name})

    def commit(offset: int) -> None:
        consumer.commit(offsets=[TopicPartition(name, 1, offset)], asynchronous=False)

    commit(1)
    await _make_log(settings, first)
    with pytest.raises(StartRefused, match="has read records 0 to 0 in partition 1") as refused:
        await _make_log(settings, again)
    assert f"--group {name} --topic {name} --reset-offsets --to-earliest" in str(refused.value)
    assert again.epoch is None
    commit(0)  # as that command does
    consumer.close()
    await _make_log(settings, again)
    assert again.epoch == first.epoch


async def test_clocks_are_compared_without_traffic(broker: KafkaBroker) -> None:
    """Fails when records of the feed do not come back with the broker's own time."""
    name = new_name()
    await Topics(broker.address).make(name, 1, 1, feed_settings())
    producer = KafkaProducer(broker.address)
    await producer.open()
    ahead_ms = 5_000
    clock = ClockWatch(lambda: time.time_ns() // 1_000_000 + ahead_ms)

    async def agrees() -> bool:
        with contextlib.suppress(Unavailable):
            await clock.probe(producer, name)
        return clock.agrees()

    async def differs() -> bool:
        return not await agrees()

    try:
        await until(differs)
        ahead_ms = 0
        await until(agrees)
    finally:
        await producer.close()


@asynccontextmanager
async def an_awaited_log(broker: KafkaBroker, epoch: Epoch) -> AsyncIterator[AwaitedLog]:
    log = AwaitedLog(broker.address, epoch.topic, Recorded(epoch))
    async with log.open():
        yield log


async def test_nothing_is_accepted_into_a_topic_that_was_deleted_or_remade(
    broker: KafkaBroker,
) -> None:
    """Fails when records are acknowledged that no router will ever read."""
    name = new_name()
    topics = Topics(broker.address)
    made = await topics.make(name, 4, 1, LOG)

    async def takes() -> bool:
        with contextlib.suppress(Unavailable):
            await log.append(CHATS[0], b"a record")
            return True
        return False

    async def refuses(says: str) -> None:
        async def refused() -> bool:
            try:
                await log.ping()
            except Unavailable as error:
                return says in str(error)
            return False

        await until(refused)
        with pytest.raises(Unavailable):
            await log.append(CHATS[0], b"a record")

    async with an_awaited_log(broker, Epoch(0, name, made.topic_id, 4)) as log:
        await until(takes)
        await log.ping()
        await delete(broker, name)
        await refuses(f"the log is gone: Kafka has no topic {name}")
        assert name not in topics_of(broker)
        await topics.make(name, 4, 1, LOG)
        await refuses("it was remade")
        for _ in range(20):
            assert not await takes()
        ends = await topics.ends(name, range(4))
        assert ends == dict.fromkeys(range(4), (0, 0))


async def test_at_its_start_a_gateway_compares_too(broker: KafkaBroker) -> None:
    name = new_name()
    await Topics(broker.address).make(name, 4, 1, LOG)
    async with an_awaited_log(broker, Epoch(0, name, "another id", 4)) as log:

        async def says_so() -> bool:
            try:
                await log.append(CHATS[0], b"a record")
            except Unavailable as error:
                return "it was remade" in str(error)
            raise AssertionError("it was accepted")

        await until(says_so)
        assert not log.found.done()


def test_services_that_start_before_the_migration(
    tmp_path: Path, broker: KafkaBroker, cassandra: CassandraNode, databases: Databases
) -> None:
    """Fails when one of them has the broker create the log, with one partition, before it is made.

    Afterwards all are ready by themselves, and messages come through.
    """
    with a_cluster(tmp_path, broker, cassandra, databases) as cluster:
        services = {
            what: cluster.service(what).start() for what in ("gateway", "router", "metadata")
        }
        until_true(lambda: all(answers(service) for service in services.values()))
        gateway = services["gateway"]
        for _ in range(2):  # a few pings of each dependency
            until_true(lambda: call("GET", f"{gateway.url}/health/ready")[0] == 503)
            time.sleep(1)
        mine = {cluster.topic, cluster.settings["CHAT4ALL_KAFKA_TOPIC_EVENTS"]}
        assert topics_of(broker) & mine == set()
        cluster.migrate()
        all_ready(list(services.values()))
        metadata = AdminClient({"bootstrap.servers": broker.address}).list_topics(timeout=10)
        assert {len(metadata.topics[name].partitions) for name in mine} == {PARTITIONS}
        people = People([gateway])
        people.send("bruno", gateway)
        people.check(readers=1)


def answers(service: Service) -> bool:
    try:
        return call("GET", f"{service.url}/health")[0] == 200
    except OSError:
        return False
