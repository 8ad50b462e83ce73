"""A store that is put back to an older copy gets the rest from the log, under the same numbers.

The steps are those of docs/operations/backup-cluster.md.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from engines import CassandraNode, KafkaBroker
from tests.cluster.chats import Chats, chats_on, patiently
from tests.cluster.services import PARTITIONS, Service
from tests.databases import Databases

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.endurance,
    pytest.mark.timeout(480),
]

COUNT = 20


@pytest.fixture
def node(tmp_path: Path) -> Iterator[CassandraNode]:
    with CassandraNode(tmp_path / "cassandra") as found:
        yield found


@pytest.fixture
def on(
    tmp_path: Path, kafka: KafkaBroker, node: CassandraNode, databases_of_all: Databases
) -> Iterator[Chats]:
    (folder := tmp_path / "services").mkdir()
    with chats_on(folder, kafka, node, databases_of_all) as found:
        yield found
        found.end_routers()


def send_all(on: Chats, chat: str) -> None:
    router = routing(on)
    for number in range(COUNT):
        on.send(chat, "bruno" if number % 2 else "ana", number % 2)
    on.until_routed(router)
    router.stop()


def routing(on: Chats) -> Service:
    return on.router().start()


def copy(node: CassandraNode, source: Path, target: Path) -> None:
    """Copy a stopped node's files."""
    node.stop()
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    node.restart()


def length(on: Chats, chat: str) -> int:
    """Return how long the history is; -1 while it cannot be read."""
    try:
        return len(on.read(chat))
    except AssertionError:
        return -1


def set_offsets_back(on: Chats, since_ms: int) -> None:
    """Let the routers begin at the first records after a time, as the documented command does."""
    client: dict[str, str | int | float | bool] = {"bootstrap.servers": on.bootstrap}
    reader = Consumer(client | {"group.id": "nobody"})
    times = [TopicPartition(on.topic, number, since_ms) for number in range(PARTITIONS)]
    places = reader.offsets_for_times(times, timeout=10)
    for place in places:
        if place.offset < 0:  # nothing came after that time
            place.offset = reader.get_watermark_offsets(place, timeout=10)[1]
    reader.close()
    admin = AdminClient(client)

    def altered() -> bool:
        group = ConsumerGroupTopicPartitions(on.topic, places)
        try:
            admin.alter_consumer_group_offsets([group])[on.topic].result(10)
        except KafkaException:  # a router that has left is a member until its session is over
            return False
        return True

    patiently(altered)


def test_the_log_brings_what_an_older_copy_of_the_store_lacks(
    on: Chats, node: CassandraNode, tmp_path: Path
) -> None:
    chat, data, snapshot = on.chat(), node.folder / "data", tmp_path / "snapshot"
    send_all(on, chat)
    began_ms = int(time.time() * 1000)
    copy(node, data, snapshot)
    patiently(lambda: length(on, chat) == COUNT)
    send_all(on, chat)
    whole = on.read(chat)
    assert len(whole) == 2 * COUNT

    copy(node, snapshot, data)
    patiently(lambda: length(on, chat) == COUNT)
    # A minute too early is harmless: what the store has keeps its number.
    set_offsets_back(on, began_ms - 60_000)
    router = routing(on)
    on.until_routed(router)
    assert on.read(chat) == whole
    on.check(chat)
