"""Routers that end while records come: how long each conversation stands still."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from chat4all.adapters.cassandra import Contact
from chat4all.adapters.kafka import partition_of
from engines import CassandraNode, KafkaBroker
from tests.cluster.cassandra import Asking
from tests.cluster.services import PARTITIONS, Cluster, Service, a_cluster, all_ready
from tests.databases import Databases
from tests.faults.running import call, until
from tests.records import record

EVERY_SECONDS = 0.1
"""How often each conversation has another record, and how often the store is asked."""


def partitions_of(router: Service) -> set[int]:
    """Return the partitions that a router has, by its metrics; none while it does not answer."""
    try:
        text = router.metrics()
    except OSError:
        return set()
    lines = [line for line in text.splitlines() if line.startswith("chat4all_router_lag_records{")]
    return {int(line.split('"')[1]) for line in lines}


class Conversations:
    """One conversation a partition, each with a new record ten times a second.

    A conversation stands still from when its oldest record that is not in the store was
    acknowledged.
    """

    def __init__(self, kafka: KafkaBroker, topic: str, store: Asking) -> None:
        self._store = store
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": kafka.address, "acks": "all"})
        self.of_partition = dict(self._one_in_each())
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._acknowledged: dict[str, list[float]] = {c: [] for c in self.of_partition.values()}
        self._stored = dict.fromkeys(self._acknowledged, 0)
        self._longest = dict.fromkeys(self._acknowledged, 0.0)
        self._ending = threading.Event()
        self._failed: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._again, args=(work,)) for work in (self._write, self._look)
        ]

    def __enter__(self) -> "Conversations":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        self._producer.flush(10)
        assert not self._failed, self._failed

    def begin(self) -> None:
        """Count from now on what stands still."""
        with self._lock:
            self._longest = dict.fromkeys(self._longest, 0.0)

    def stood_still(self, partitions: set[int] | None = None) -> float:
        """Return the longest time, in seconds, that one of these stood still, so far."""
        chosen = self.of_partition.keys() if partitions is None else partitions
        with self._lock:
            return max((self._longest[self.of_partition[n]] for n in chosen), default=0.0)

    def go_on(self, seconds: float = 30) -> None:
        """Return once every conversation has what is acknowledged by now in the store."""
        with self._lock:
            wanted = {c: len(times) for c, times in self._acknowledged.items()}
        until(lambda: all(self._stored[c] >= count for c, count in wanted.items()), seconds)

    def check(self) -> None:
        """Every record acknowledged by now is in the store, numbered without a hole."""
        with self._lock:  # more are acknowledged meanwhile
            acknowledged = {c: len(times) for c, times in self._acknowledged.items()}
        self.go_on()
        for conversation, count in acknowledged.items():
            rows = self._ask(
                "SELECT seq, message_id FROM messages WHERE bucket IN (0, 1, 2, 3) AND "
                f"conversation_id = {conversation}"
            )
            assert sorted(seq for seq, _ in rows) == list(range(1, len(rows) + 1))
            assert len({message_id for _, message_id in rows}) == len(rows) >= count

    def _ask(self, query: str) -> list[Any]:
        with self._asking:
            return list(self._store.execute(query))

    def _again(self, work: Callable[[], None]) -> None:
        try:
            while not self._ending.wait(EVERY_SECONDS):
                work()
        except BaseException as error:
            self._failed.append(error)

    def _write(self) -> None:
        for conversation in self._acknowledged:
            value = record("x", chat=conversation, message_id=str(uuid.uuid4()))
            self._producer.produce(
                self._topic,
                value,
                conversation.encode(),
                partition_of(conversation.encode(), PARTITIONS),
                on_delivery=self._note,
            )
        self._producer.poll(0)

    def _note(self, error: object, message: Message) -> None:
        assert error is None, error
        with self._lock:
            self._acknowledged[(message.key() or b"").decode()].append(time.monotonic())

    def _look(self) -> None:
        rows = self._ask("SELECT conversation_id, seq FROM conversation_heads")
        heads = {str(conversation): seq or 0 for conversation, seq in rows}
        now = time.monotonic()
        with self._lock:
            for conversation, times in self._acknowledged.items():
                before = self._stored[conversation]
                # From the oldest that was not there at the last look, until now.
                if len(times) > before:
                    still = now - times[before]
                    self._longest[conversation] = max(self._longest[conversation], still)
                self._stored[conversation] = max(before, heads.get(conversation, 0))

    def _one_in_each(self) -> Iterator[tuple[int, str]]:
        left = set(range(PARTITIONS))
        while left:
            conversation = str(uuid.uuid4())
            if (number := partition_of(conversation.encode(), PARTITIONS)) in left:
                left.discard(number)
                yield number, conversation


class Routers:
    """Three routers with the settings that they have by default, and conversations that go on."""

    def __init__(self, cluster: Cluster, conversations: Conversations) -> None:
        self.cluster = cluster
        self.conversations = conversations
        self.running: list[Service] = []

    def start(self, count: int = 3, **settings: str) -> list[Service]:
        """Start so many routers, and wait until the partitions are divided between them."""
        for _ in range(count):
            router = self.cluster.service("router")
            router.environment |= settings
            self.running.append(router.start())
        self.are_settled()
        return self.running

    def are_settled(self) -> None:
        """Return once each router has its share, and every conversation goes on."""
        all_ready(self.running)
        most = -(-PARTITIONS // len(self.running))

        def divided() -> bool:
            shares = [partitions_of(router) for router in self.running]
            everything = sorted(n for share in shares for n in share)
            return everything == list(range(PARTITIONS)) and max(map(len, shares)) <= most

        until(divided, 60)
        self.conversations.go_on()
        self.conversations.begin()

    def committed(self) -> dict[int, int]:
        """Return what the group has committed, by partition."""
        places = [TopicPartition(self.cluster.topic, number) for number in range(PARTITIONS)]
        group = Consumer(
            {
                "bootstrap.servers": self.cluster.settings["KAFKA_BOOTSTRAP_SERVER"],
                "group.id": self.cluster.topic,
            }
        )
        try:
            return {place.partition: place.offset for place in group.committed(places, timeout=10)}
        finally:
            group.close()

    def end(self) -> None:
        """Kill all of them."""
        for router in self.running:
            if router.process is not None:
                router.kill()
        self.running.clear()

    def trouble(self, router: Service) -> str:
        """Return what readiness says of the router's work; empty when all is well."""
        _, body = call("GET", f"{router.url}/health/ready")
        return str(body["dependencies"]["router"]["error"] or "")


@contextmanager
def routers_on(
    folder: Path, kafka: KafkaBroker, cassandra: CassandraNode, databases: Databases
) -> Iterator[Routers]:
    with a_cluster(folder, kafka, cassandra, databases) as cluster:
        del cluster.settings["CHAT4ALL_ROUTER_SESSION_SECONDS"]
        cluster.migrate()
        store = Asking(Contact([cassandra.address], cluster.topic, cassandra.port))
        try:
            with Conversations(kafka, cluster.topic, store) as conversations:
                yield Routers(cluster, conversations)
        finally:
            store.close()


def measured(name: str, seconds: float, bar: float) -> None:
    """Print a figure, to be seen with `pytest -rP`, and hold it to its bar."""
    print(f"{name}: {seconds:.2f} s, at most {bar:g} s")
    assert seconds < bar, f"{name}: {seconds:.2f} s"
