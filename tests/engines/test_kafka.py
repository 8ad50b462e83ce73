"""A Kafka broker of a test's own: acknowledged records survive SIGKILL."""

import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from engines import KafkaBroker

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(180)]
TOPIC = "things"


def make_topic(broker: KafkaBroker) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    for made in admin.create_topics([NewTopic(TOPIC, 3, 1)]).values():
        made.result(30)


def produce(broker: KafkaBroker, values: list[str]) -> list[str]:
    """Return the records that were acknowledged."""
    acknowledged: list[str] = []

    def delivered(error: object, message: Message) -> None:
        value = message.value()
        if error is None and value is not None:
            acknowledged.append(value.decode())

    producer = Producer(
        {"bootstrap.servers": broker.address, "acks": "all", "enable.idempotence": True}
    )
    for value in values:
        producer.produce(TOPIC, value.encode(), on_delivery=delivered)
    assert producer.flush(30) == 0
    return acknowledged


def consume(broker: KafkaBroker, count: int) -> list[str]:
    consumer = Consumer(
        {
            "bootstrap.servers": broker.address,
            "group.id": "readers",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe([TOPIC])
        found: list[str] = []
        deadline = time.monotonic() + 30
        while len(found) < count and time.monotonic() < deadline:
            for message in consumer.consume(count, timeout=1):
                assert message.error() is None, message.error()
                found.append((message.value() or b"").decode())
        return found
    finally:
        consumer.close()


@pytest.mark.endurance
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    values = [f"thing {n}" for n in range(500)]
    with KafkaBroker(tmp_path) as broker:
        make_topic(broker)
        acknowledged = produce(broker, values)
        assert sorted(acknowledged) == sorted(values)
        broker.kill()
        assert not broker.answers()
        broker.restart()
        assert sorted(consume(broker, len(values))) == sorted(values)


def test_no_topic_makes_itself(tmp_path: Path) -> None:
    with KafkaBroker(tmp_path) as broker:
        admin = AdminClient({"bootstrap.servers": broker.address})
        admin.list_topics("nobody-made-this", timeout=10)
        assert "nobody-made-this" not in admin.list_topics(timeout=10).topics


def test_a_paused_broker_does_not_answer_and_a_resumed_one_does(tmp_path: Path) -> None:
    with KafkaBroker(tmp_path) as broker:
        before = broker.process()
        broker.pause()
        assert not broker.answers()
        broker.resume()
        broker.wait_ready()
        assert broker.process() == before
        broker.stop()
        assert broker.process() is None
