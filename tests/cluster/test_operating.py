"""Operating a cluster of real processes and engines: troubles, dead letters, lag."""

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from prometheus_client.parser import text_string_to_metric_families

from chat4all.adapters.kafka import KafkaInspection, KafkaProducer, Topics, log_settings
from chat4all.domain.errors import Unavailable
from engines import CassandraNode, KafkaBroker
from engines.server import free_port
from tests.cluster.kafka import a_log
from tests.cluster.services import Cluster, Service, a_cluster, all_ready
from tests.cluster.test_kafka_consumer import fill, in_partition
from tests.cluster.test_services import People
from tests.contract.test_log_consumer import last, take
from tests.databases import Databases
from tests.docs.troubles import assert_documented
from tests.faults.running import call, free_ports, until
from tests.faults.test_rules import POISON
from tests.forked import run_command

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240, func_only=True)]


@pytest.fixture
def cluster(
    tmp_path: Path, kafka: KafkaBroker, cassandra: CassandraNode, databases: Databases
) -> Iterator[Cluster]:
    with a_cluster(tmp_path, kafka, cassandra, databases) as found:
        found.migrate()
        yield found


def chat4all(
    cluster: Cluster, *arguments: str, stdin: str = "", settings: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a command as an operator does; return its status and what it said."""
    done = run_command(arguments, cluster.settings | (settings or {}), stdin)
    return done.returncode, done.stdout, done.stderr


def doctor(cluster: Cluster, *arguments: str, **settings: str) -> dict[str, list[str]]:
    """Return what is a problem or a warning, by check; the exit status must fit."""
    status, stdout, stderr = chat4all(cluster, "doctor", "--json", *arguments, settings=settings)
    told = json.loads(stdout)
    found: dict[str, list[str]] = {}
    for check in told["checks"]:
        if check["status"] != "ok":
            found.setdefault(check["check"], []).append(check["says"])
    problems = [check for check in told["checks"] if check["status"] == "problem"]
    assert status == bool(problems), stderr
    assert told["ok"] is not bool(problems)
    return found


def parts(service: Service) -> tuple[int, dict[str, Any]]:
    status, body = call("GET", f"{service.url}/health/ready")
    return status, body["dependencies"]


def says(service: Service, part: str, beginning: str) -> str:
    """Wait until a part's error begins like this; return the whole of it, which is documented."""
    errors: list[str] = []

    def found() -> bool:
        try:
            errors[:] = [parts(service)[1][part]["error"] or ""]
        except OSError:
            return False
        return errors[0].startswith(beginning)

    try:
        until(found, seconds=40)
    except AssertionError:
        raise AssertionError(errors) from None
    assert_documented(errors[0])
    return errors[0]


def logged(service: Service, part: str, sentence: str) -> int:
    """Return how many lines have this as the cause why a part is not well."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line[:1] == "{"]
    return sum(
        (line["message"], line.get("part"), line.get("cause"))
        == ("a part is not well", part, sentence)
        for line in lines
    )


def lag(router: Service) -> dict[str, float]:
    with urllib.request.urlopen(f"{router.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        sample.labels["partition"]: sample.value
        for family in text_string_to_metric_families(text)
        if family.name == "chat4all_router_lag_records"
        for sample in family.samples
    }


def test_messages_that_nobody_processes_and_those_that_cannot_be(cluster: Cluster) -> None:
    """No router, then one; a dead letter, listed, shown, corrected and replayed, stored once."""
    metadata, gateway = (cluster.service(what).start() for what in ("metadata", "gateway"))
    all_ready([metadata, gateway])
    people = People([gateway])
    people.send("bruno", gateway)

    nobody = says(gateway, "router", "no router runs")
    assert cluster.topic in nobody
    assert parts(gateway)[0] == 200  # it does its own work
    until(lambda: logged(gateway, "router", nobody) == 1)
    found = doctor(cluster, "--service", gateway.url)
    (sentence,) = found["routers"]
    assert_documented(sentence)
    assert sentence.startswith("no router runs: nobody is in the consumer group")
    assert "1 accepted messages wait" in sentence
    assert any("no router runs" in warning for warning in found["services"])

    producer = Producer({"bootstrap.servers": cluster.settings["KAFKA_BOOTSTRAP_SERVER"]})
    producer.produce(cluster.topic, POISON, people.chat)
    assert producer.flush(30) == 0
    router = cluster.service("router").start()
    all_ready([router])
    people.check()
    until(lambda: parts(gateway)[1]["router"]["error"] is None)
    until(lambda: len(lag(router)) == 8 and set(lag(router).values()) == {0.0})
    until(lambda: "dead letter" in router.log.read_text())
    found = doctor(cluster, "--service", gateway.url, "--service", router.url)
    # One copy on a node that does not sync is said as well.
    assert found.keys() == {"dead letters", "cassandra"}, found

    status, stdout, stderr = chat4all(cluster, "dead-letters", "list", "--json")
    assert status == 0, stderr
    (letter,) = json.loads(stdout)
    position = letter["position"]
    assert letter["replayed_as"] is None
    status, stdout, _ = chat4all(cluster, "dead-letters", "show", position, "--raw")
    assert (status, stdout.encode()) == (0, POISON)
    status, _, stderr = chat4all(cluster, "dead-letters", "replay", position)
    assert status == 1
    assert "cannot be processed" in stderr

    mended = json.dumps(json.loads(POISON_MENDED) | {"chat_id": people.chat})
    replay = ("dead-letters", "replay", position, "--value", "-")
    for more in ((), ("--again",)):
        status, stdout, stderr = chat4all(cluster, *replay, *more, stdin=mended)
        assert status == 0, stderr
        assert stdout.startswith(f"{position} was replayed as 0.")
    assert chat4all(cluster, *replay, stdin=mended)[0] == 1
    people.send("ana", gateway)  # behind both replays, in the same partition
    until(lambda: len(people.history("ana", gateway)) >= 3)
    history = people.history("ana", gateway)
    assert [message["seq"] for message in history] == [1, 2, 3]
    assert [message["content"] for message in history[1:2]] == ["mended"]
    assert "dead letters" not in doctor(cluster)
    assert chat4all(cluster, "dead-letters", "show", "0.0.99")[0] == 1
    assert chat4all(cluster, "dead-letters", "show", "99")[0] == 2


POISON_MENDED = json.dumps(
    {
        "message_id": "0190f5f7-0000-4000-8000-000000000001",
        "chat_id": "",
        "sender_id": "bruno",
        "content": "mended",
        "timestamp_utc": "2026-01-01T00:00:00Z",
        "status": "SENT",
        "type": "chat_message",
    }
)


def test_services_that_are_set_wrongly(cluster: Cluster) -> None:
    """A wrong broker, no Cassandra, another SECRET_KEY: said to operators, not to clients."""
    (dead,) = free_ports(1)
    metadata, gateway = (cluster.service(what).start() for what in ("metadata", "gateway"))
    other = cluster.service("gateway")
    other.environment |= {"SECRET_KEY": "another secret of at least 32 bytes"}
    no_kafka = cluster.service("gateway")
    no_kafka.environment |= {"KAFKA_BOOTSTRAP_SERVER": f"127.0.0.1:{dead}"}
    no_cassandra = cluster.service("router")
    no_cassandra.environment |= {"CHAT4ALL_CASSANDRA_PORT": str(dead)}
    for service in (other, no_kafka, no_cassandra):
        service.start()
    all_ready([metadata, gateway, other])
    people = People([gateway])

    # 401
    differs = says(other, "secret key", "the metadata service at")
    assert parts(gateway)[1]["secret key"]["error"] is None
    token = people.tokens["bruno"]
    path = f"/v1/conversations/{people.chat}/messages"
    for _ in range(3):
        status, problem = call("GET", other.url + path, token=token)
        assert status == 401
        assert_documented(problem["detail"])
    told = [x for x in other.log.read_text().splitlines() if "was not signed with this" in x]
    assert len(told) == 1
    found = doctor(cluster, SECRET_KEY=other.environment["SECRET_KEY"])
    assert found["metadata service"] == [differs]

    # No broker, and what clients read of it.
    away = says(no_kafka, "log", "Kafka at")
    assert str(dead) in away
    body = {"chat_id": people.chat, "content": "x"}
    until(lambda: parts(no_kafka)[1]["store"]["error"] is None)

    def refused() -> Any:
        status, problem = call("POST", f"{no_kafka.url}/v1/messages", body, people.tokens["bruno"])
        assert status == 503
        # Not in the whole answer: its random ids may have the same digits as the port.
        assert str(dead) not in problem["title"] + problem["detail"]
        return problem["detail"]

    until(lambda: refused().startswith("the message log (Kafka)"))

    # Cassandra not ready.
    not_ready = says(no_cassandra, "store", "Cassandra at")
    assert str(dead) in not_ready
    for service, part, sentence in (
        (other, "secret key", differs),
        (no_kafka, "log", away),
        (no_cassandra, "store", not_ready),
    ):
        until(lambda: logged(service, part, sentence) >= 1)  # noqa: B023
        assert logged(service, part, sentence) == 1
        assert "Traceback" not in service.log.read_text()
    # Not a line for every try: it has been looked for all the time.
    assert len(no_cassandra.log.read_text().splitlines()) < 12, no_cassandra.log.read_text()


class AdvertisingWrongly(KafkaBroker):
    """A broker with a second listener, which advertises an address that is nobody's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.outside = f"127.0.0.1:{free_port()}"

    def properties(self) -> str:
        return (
            super()
            .properties()
            .replace("listeners=", f"listeners=OUTSIDE://{self.outside},", 1)
            .replace("advertised.listeners=", "advertised.listeners=OUTSIDE://kafka.invalid:9092,")
            + "listener.security.protocol.map="
            "OUTSIDE:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
        )


@pytest.mark.anyio
async def test_a_broker_that_advertises_an_address_that_is_nobodys(tmp_path: Path) -> None:
    """It answers the first question, so that all seems well until something is to be written."""
    with AdvertisingWrongly(tmp_path / "kafka") as broker:
        await Topics(broker.address).make("t", 1, 1, log_settings(30, 1))
        producer = KafkaProducer(broker.outside)
        await producer.open()
        topics = Topics(broker.outside)
        attempts: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: producer.ping("t"),
            KafkaInspection(broker.outside).brokers,
            # Not taken for the log's end: that would stop a router with an alarm.
            lambda: topics.ends("t", [0], 2.0),
        )
        try:
            for attempt in attempts:
                sentence = ""
                async with asyncio.timeout(40):
                    while "advertises kafka.invalid:9092" not in sentence:
                        with pytest.raises(Unavailable) as told:
                            await attempt()
                        sentence = str(told.value)
                        assert_documented(sentence)
        finally:
            await producer.close()


@pytest.mark.anyio
async def test_the_lag_of_each_partition_is_told_and_returns_to_nothing(kafka: KafkaBroker) -> None:
    """Also while the consumer is busy with other things, and its partitions are paused."""
    async with a_log(kafka) as on:
        await fill(on, 1, 3)
        async with on.consumer() as consumer:
            taken = await take(consumer, 3)
            await fill(on, 1, 2)
            await fill(on, 2, 4)
            await until_it_is(consumer.lag, {0: 0, 1: 5, 2: 4, 3: 0})
            await consumer.commit(last(taken))
            await until_it_is(consumer.lag, {0: 0, 1: 2, 2: 4, 3: 0})
            await consumer.commit(last(await take(consumer, 6)))
            await until_it_is(consumer.lag, dict.fromkeys(range(4), 0))
            await on.log.append(in_partition(3), b"x")
            await until_it_is(consumer.lag, {0: 0, 1: 0, 2: 0, 3: 1})
        assert consumer.lag() == {}


async def until_it_is(lag: Any, wanted: dict[int, int]) -> None:
    async with asyncio.timeout(20):
        while lag() != wanted:
            await asyncio.sleep(0.02)


def test_a_log_that_is_not_as_it_was_made(cluster: Cluster) -> None:
    """The doctor compares the topic and the group's offsets with what the log relies on."""
    address = cluster.settings["KAFKA_BOOTSTRAP_SERVER"]
    admin = AdminClient({"bootstrap.servers": address})
    changed = ConfigResource(
        ResourceType.TOPIC,
        cluster.topic,
        incremental_configs=[
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in (("cleanup.policy", "compact"), ("retention.ms", "1000000"))
        ],
    )
    for done in admin.incremental_alter_configs([changed]).values():
        done.result(10)
    consumer = Consumer({"bootstrap.servers": address, "group.id": cluster.topic})
    consumer.commit(offsets=[TopicPartition(cluster.topic, 3, 7)], asynchronous=False)
    consumer.close()
    found = doctor(cluster)
    assert f"{cluster.topic}: cleanup.policy is compact and should be delete" in found["topics"]
    assert any("retention.ms is 1000000" in says for says in found["topics"])
    assert any("the log ends at 0, and 7 is committed" in says for says in found["routers"])
    assert "metadata service" in found  # none was started

    found = doctor(cluster, CASSANDRA_KEYSPACE="another_keyspace")
    assert_documented(*found["cassandra"])
    found = doctor(cluster, KAFKA_TOPIC_CHAT_MESSAGES="another_topic")
    for sentence in found["topics"]:
        assert_documented(sentence)
