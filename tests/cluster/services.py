"""The services of a cluster as processes of their own, on real engines."""

import secrets
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engines import CassandraNode, KafkaBroker, S3Server
from tests.databases import Databases
from tests.faults.running import (
    CHEAP_PASSWORDS,
    call,
    environment,
    free_ports,
    until,
)
from tests.forked import Forked, run_command

PARTITIONS = 8


@dataclass
class Service:
    """One process, on a port of its own."""

    what: str
    port: int
    log: Path
    environment: dict[str, str]
    faults: tuple[str, ...] = ()
    """What `tests.cluster.launch` is to do wrong."""
    process: Forked | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def live_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/live"

    def start(self) -> "Service":
        # Metadata services alone have to do with passwords.
        product = CHEAP_PASSWORDS if self.what == "metadata" else "chat4all"
        module = "tests.cluster.launch" if self.faults else product
        self.process = Forked(module, [*self.faults, self.what], self.environment, self.log)
        return self

    def ready(self) -> bool:
        try:
            return call("GET", f"{self.url}/health/ready")[0] == 200
        except OSError:
            return False

    def answers(self) -> bool:
        try:
            return call("GET", f"{self.url}/health")[0] == 200
        except OSError:
            return False

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)
        self.process = None

    def tell(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process and return its status."""
        self.tell(number)
        assert self.process is not None
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait(30)
            self.process = None


class Cluster:
    """Topics, a keyspace and a database of its own, and the services on them."""

    def __init__(
        self, folder: Path, kafka: KafkaBroker, cassandra: CassandraNode, databases: Databases
    ) -> None:
        self._folder = folder
        name = f"c{secrets.token_hex(6)}"
        (self._metadata_port,) = free_ports(1)
        self.topic = name
        self.settings = environment() | {
            "KAFKA_BOOTSTRAP_SERVER": kafka.address,
            "KAFKA_TOPIC_CHAT_MESSAGES": name,
            "CHAT4ALL_KAFKA_TOPIC_EVENTS": f"{name}-events",
            "CHAT4ALL_KAFKA_PARTITIONS": str(PARTITIONS),
            "CHAT4ALL_KAFKA_GROUP": name,
            "CASSANDRA_HOSTS": cassandra.address,
            "CHAT4ALL_CASSANDRA_PORT": str(cassandra.port),
            "CASSANDRA_KEYSPACE": name,
            "DATABASE_URL": databases.empty().dsn,
            "SECRET_KEY": secrets.token_hex(32),
            "CHAT4ALL_SERVICE_CREDENTIAL": secrets.token_hex(32),
            "CHAT4ALL_METADATA_URL": f"http://127.0.0.1:{self._metadata_port}",
            "CHAT4ALL_METADATA_PORT": str(self._metadata_port),
            "CHAT4ALL_ROUTER_SESSION_SECONDS": "6",
            "CHAT4ALL_RATE_LIMITS": "off",
        }
        self.services: list[Service] = []

    def migrate(self) -> None:
        done = run_command(["migrate"], self.settings, seconds=120)
        assert done.returncode == 0, done.stderr

    def keep_files_in(self, s3: S3Server) -> None:
        """Give the services that are made from now on a store of files, in a bucket of its own."""
        self.settings |= {
            "CHAT4ALL_S3_ENDPOINT": s3.address,
            "CHAT4ALL_S3_PUBLIC_ENDPOINT": s3.address,
            "CHAT4ALL_S3_BUCKET": s3.create_bucket(self.topic),
            "CHAT4ALL_S3_REGION": s3.region,
            "CHAT4ALL_S3_ACCESS_KEY": s3.access_key,
            "CHAT4ALL_S3_SECRET_KEY": s3.secret_key,
        }

    def service(self, what: str, *faults: str) -> Service:
        """Return a service that is not started yet."""
        port = self._metadata_port if what == "metadata" else free_ports(1)[0]
        number = len(self.services)
        own = {"gateway": "CHAT4ALL_PORT", "router": "CHAT4ALL_ROUTER_PORT"}.get(what)
        settings = self.settings | ({own: str(port)} if own else {})
        log = self._folder / f"{what}-{number}.log"
        found = Service(what, port, log, settings, faults)
        self.services.append(found)
        return found

    def kill(self) -> None:
        for service in self.services:
            if service.process is not None:
                service.process.kill()
                service.process.wait(30)


@contextmanager
def a_cluster(
    folder: Path, kafka: KafkaBroker, cassandra: CassandraNode, databases: Databases
) -> Iterator[Cluster]:
    found = Cluster(folder, kafka, cassandra, databases)
    try:
        yield found
    finally:
        found.kill()


def all_ready(services: list[Service], seconds: float = 60) -> None:
    until(lambda: all(service.ready() for service in services), seconds)
