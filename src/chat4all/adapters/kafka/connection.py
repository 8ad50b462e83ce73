"""The configuration that all Kafka clients of Chat4All share, and texts of their errors."""

import logging
from typing import Any

from confluent_kafka import KafkaError, KafkaException

_log = logging.getLogger("chat4all.kafka")


def client_config(bootstrap: str, *, quiet: bool = False) -> dict[str, Any]:
    """Return the settings of producers, consumers and administrators. `bootstrap`: `host:port,…`.

    `quiet`: for clients that are seldom or never polled: their log lines would pile up.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "client.id": "chat4all",
        # Only `chat4all migrate` makes topics. A producer that asks about a topic would otherwise
        # have a broker with default settings make it, with one partition (EXACTNESS 8).
        "allow.auto.create.topics": False,
        # Reconnect to a broker within a second instead of ten.
        "reconnect.backoff.max.ms": 1_000,
        # A broker may be back under another address, and the old one may answer nothing at all: it
        # is given up after 3 s instead of 30 s, and the name is resolved again.
        "socket.connection.setup.timeout.ms": 3_000,
        "broker.address.ttl": 1_000,
        # When none of the brokers that it knows answers, begin again with the configured ones.
        "metadata.recovery.strategy": "rebootstrap",
        "socket.keepalive.enable": True,
        "socket.timeout.ms": 10_000,
    }
    return config | ({"log_level": 2} if quiet else {"logger": _log})


def describe(error: KafkaError | KafkaException) -> str:
    """Return an error in Kafka's own words, without anything of a record."""
    cause = error.args[0] if isinstance(error, KafkaException) else error
    return f"Kafka: {cause.str()}" if isinstance(cause, KafkaError) else f"Kafka: {cause}"
