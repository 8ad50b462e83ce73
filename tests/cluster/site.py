"""A cluster on engines of its own, which are killed and paused while people write."""

import itertools
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from engines import CassandraNode, KafkaBroker
from engines.server import Server
from tests.cluster.services import Cluster, Service, all_ready
from tests.cluster.test_services import People
from tests.databases import Databases
from tests.faults.clients import Client
from tests.faults.running import call, until

PARTITIONS = 8
WRITERS = 8

REQUEST_SECONDS = 5.0
"""In which every request is answered, whatever is unavailable."""

SLOW_SECONDS = 3.0
"""What a machine that is half as fast, and these threads, may add."""

DRAIN_SECONDS = 10.0
BACK_SECONDS = 10.0

_numbers = itertools.count(1)


def new_names(count: int) -> list[str]:
    """Return usernames that are free in this cluster."""
    return [f"writer{next(_numbers)}" for _ in range(count)]


class Crowd:
    """Eight people in a chat of their own who write without end, every second one to a gateway.

    Half of them choose their messages' ids, half leave it to the gateway.
    """

    def __init__(self, gateways: Sequence[Service]) -> None:
        self.people = People(list(gateways), new_names(WRITERS))
        self.clients = [
            Client(
                gateways[n % len(gateways)].port,
                self.people.chat,
                name,
                token,
                own_ids=n % 4 < 2,
                pause=0.02,
            )
            for n, (name, token) in enumerate(self.people.tokens.items())
        ]

    def at(self, gateway: Service) -> list[Client]:
        """Return those who write to this gateway."""
        return [client for client in self.clients if client.port == gateway.port]

    def goes_on(self, seconds: float = 30, times: int = 5) -> None:
        """Return once everybody has had so many more messages accepted."""
        wanted = [len(client.acknowledged) + times for client in self.clients]
        until(
            lambda: all(
                len(client.acknowledged) >= count
                for client, count in zip(self.clients, wanted, strict=True)
            ),
            seconds,
        )

    def is_refused(self, seconds: float = 30) -> None:
        """Return once everybody has been refused, and nobody is accepted in between."""
        refused = [client.refused for client in self.clients]
        until(
            lambda: all(
                client.refused > before
                for client, before in zip(self.clients, refused, strict=True)
            ),
            seconds,
        )

    def stands_still(self, clients: Sequence[Client]) -> None:
        """Return once each of these has waited for an answer for half a second."""
        until(lambda: max(client.answered for client in clients) < time.monotonic() - 0.5)

    def check(self) -> None:
        """Every acknowledged message once, every answer as it must be and in time."""
        self.people.sent = {c.sender: c.sent for c in self.clients}
        self.people.check(readers=2)
        assert [client.wrong for client in self.clients] == [[] for _ in self.clients]
        assert max(client.longest for client in self.clients) < REQUEST_SECONDS + SLOW_SECONDS


class Site:
    """Two gateways, a router and a metadata service on a broker, a node and a server."""

    def __init__(
        self, folder: Path, kafka: KafkaBroker, cassandra: CassandraNode, databases: Databases
    ) -> None:
        self.kafka, self.cassandra, self.postgres = kafka, cassandra, databases.server
        self.cluster = Cluster(folder, kafka, cassandra, databases)
        self.gateways = [self.cluster.service("gateway") for _ in range(2)]
        self.router = self.cluster.service("router")
        self.metadata = self.cluster.service("metadata")
        self.services = self.cluster.services

    def mend(self) -> None:
        """Restart whatever an earlier test left stopped."""
        engines: Sequence[Server] = (self.kafka, self.cassandra, self.postgres)
        for engine in engines:
            engine.resume()
            if engine.process() is None:
                engine.restart()
        for service in self.services:
            if service.process is None or service.process.poll() is not None:
                service.start()
            service.tell(signal.SIGCONT)
        all_ready(self.services)

    @contextmanager
    def crowd(self) -> Iterator[Crowd]:
        """Let people write while in this context; afterwards what they were told must be true."""
        crowd = Crowd(self.gateways)
        for client in crowd.clients:
            client.start()
        try:
            crowd.goes_on()
            yield crowd
            crowd.goes_on(BACK_SECONDS)
        finally:
            for client in crowd.clients:
                client.stop()
        all_ready(self.services)
        crowd.check()

    def trouble(self, service: Service, part: str) -> str:
        """Return what `/health/ready` says is wrong with a part; empty when nothing is."""
        status, body = call("GET", f"{service.url}/health/ready")
        assert (status == 200) == (body["status"] == "ok")
        return body["dependencies"][part]["error"] or ""

    def committed(self) -> list[int]:
        """Return what the routers have committed, by partition."""
        return [place.offset for place in self._ask(lambda c, places: c.committed(places, 10))]

    def lag(self) -> int:
        """Return how many records of the log are not committed."""
        ends = self._ask(lambda c, places: [c.get_watermark_offsets(p, 10)[1] for p in places])
        return int(sum(ends)) - sum(self.committed())

    def _ask(self, question: Any) -> list[Any]:
        consumer = Consumer(
            {"bootstrap.servers": self.kafka.address, "group.id": self.cluster.topic}
        )
        try:
            places = [TopicPartition(self.cluster.topic, n) for n in range(PARTITIONS)]
            return list(question(consumer, places))
        finally:
            consumer.close()
