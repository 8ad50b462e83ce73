"""Engines of a benchmark's own, and what processes have to know of them. In a checkout only."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engines import CassandraNode, KafkaBroker

from .filling import SECRET
from .running import run

PARTITIONS = 64


@dataclass(frozen=True, slots=True)
class Place:
    """One Kafka broker and one Cassandra node, each name in them used once."""

    kafka: KafkaBroker
    cassandra: CassandraNode

    def settings(self, name: str) -> dict[str, str]:
        """Return the environment of processes whose topics and keyspace have this name."""
        return {
            "KAFKA_BOOTSTRAP_SERVER": self.kafka.address,
            "KAFKA_TOPIC_CHAT_MESSAGES": f"{name}-messages",
            "CHAT4ALL_KAFKA_TOPIC_EVENTS": f"{name}-events",
            "CHAT4ALL_KAFKA_PARTITIONS": str(PARTITIONS),
            "CHAT4ALL_KAFKA_GROUP": name,
            "CASSANDRA_HOSTS": self.cassandra.address,
            "CHAT4ALL_CASSANDRA_PORT": str(self.cassandra.port),
            "CASSANDRA_KEYSPACE": name,
        }

    def services(self, name: str, port: int, metadata_port: int, folder: Path) -> dict[str, str]:
        """Return the environment of a gateway and a metadata service, whose file is in a folder."""
        return self.settings(name) | {
            "CHAT4ALL_PORT": str(port),
            "CHAT4ALL_METADATA_PORT": str(metadata_port),
            "CHAT4ALL_METADATA_URL": f"http://127.0.0.1:{metadata_port}",
            "CHAT4ALL_SERVICE_CREDENTIAL": "c" * 64,
            "SECRET_KEY": SECRET,
            "DATABASE_URL": f"sqlite:///{folder / 'metadata.db'}",
        }

    def migrate(self, name: str) -> None:
        """Make the topics and the keyspace of this name."""
        run(self.chat4all("migrate"), settings=self.settings(name))

    def chat4all(self, command: str) -> list[str]:
        """Return a command of the product."""
        return [sys.executable, "-m", "chat4all", command]


@contextmanager
def a_place(folder: Path) -> Iterator[Place]:
    """Start the engines.

    Cassandra syncs its commit log every 10 s, as it does by itself: it rests on its replicas.
    """
    with (
        KafkaBroker(folder / "kafka", heap_mb=512) as kafka,
        CassandraNode(folder / "cassandra", heap_mb=1024, synced=False) as cassandra,
    ):
        yield Place(kafka, cassandra)


def new_name() -> str:
    """Return a name that is not in use."""
    return f"b{secrets.token_hex(6)}"
