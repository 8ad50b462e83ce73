"""One Kafka node, broker and controller in one process (KRaft, no ZooKeeper)."""

import base64
import struct
import uuid
from pathlib import Path
from typing import ClassVar

from engines import packages
from engines.processes import Process
from engines.server import Server, connect, free_port, receive

LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""
METADATA_REQUEST, METADATA_VERSION = 3, 1


class KafkaBroker(Server):
    """A broker on loopback; `address` is its bootstrap server.

    It makes no topic by itself, unless `auto_create` leaves that at Kafka's own default: then it
    makes each topic that a client asks about and does not forbid to make, with one partition.

    What it acknowledged survives its death, not a power cut: Kafka leaves the writing to the
    kernel and rests on other replicas, of which there are none here.
    """

    name: ClassVar[str] = "kafka"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        controller_port: int | None = None,
        heap_mb: int = 256,
        outlives: bool = False,
        auto_create: bool = False,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(folder, outlives=outlives)
        self._auto_create = auto_create
        self._host = host
        self.port = port or free_port(host)
        self.address = f"{host}:{self.port}"
        self._controller_port = controller_port or free_port()
        self._heap_mb = heap_mb

    @classmethod
    def provide(cls) -> None:
        """Install Java and fetch the jars; see `Server`."""
        packages.java()
        packages.jars(cls.name)

    def answers(self) -> bool:
        """Ask for the cluster's brokers; one that is not registered yet names none."""
        client = b"engines"
        body = struct.pack(">hhih", METADATA_REQUEST, METADATA_VERSION, 1, len(client)) + client
        body += struct.pack(">i", 0)  # of no topic
        try:
            with connect(self._host, self.port) as connection:
                connection.sendall(struct.pack(">i", len(body)) + body)
                _, _, brokers = struct.unpack(">iii", receive(connection, 12))
        except OSError:
            return False
        return bool(brokers > 0)

    def properties(self) -> str:
        """Return the content of `server.properties`."""
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": str(self._auto_create).lower(),
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 8,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 8,
            "group.initial.rebalance.delay.ms": 0,
            "log.cleaner.dedupe.buffer.size": 16 * 2**20,  # of the heap; 128 MiB by itself
            # A killed broker may come back only when its last session has ended: 9 s by itself.
            "broker.session.timeout.ms": 3_000,
            "broker.heartbeat.interval.ms": 500,
            # Tests have short sessions: a consumer that was killed is missed sooner.
            "group.min.session.timeout.ms": 1_000,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _prepare(self) -> None:
        (self.folder / "server.properties").write_text(self.properties())
        (self.folder / "log4j2.properties").write_text(LOG4J)
        self._once(self._format)

    def _format(self, _: Path) -> None:
        cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).rstrip(b"=").decode()
        self._run(
            self._java(
                64,
                "kafka.tools.StorageTool",
                *("format", "--standalone", "-t", cluster, "-c", "server.properties"),
            )
        )

    def _launch(self) -> Process:
        return self._start(self._java(self._heap_mb, "kafka.Kafka", "server.properties"))

    def _java(self, heap_mb: int, *arguments: str) -> list[str]:
        return [
            *packages.java_command(self.folder, heap_mb),
            "-Dlog4j2.configurationFile=log4j2.properties",
            *("-cp", f"{packages.jars(self.name)}/*"),
            *arguments,
        ]
