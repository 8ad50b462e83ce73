"""The configuration that all Kafka clients of Chat4All share, and their errors in words."""

import logging
from typing import Any

from confluent_kafka import KafkaError, KafkaException

_log = logging.getLogger("chat4all.kafka")


def client_config(bootstrap: str, *, quiet: bool = False) -> dict[str, Any]:
    """Return the settings of producers, consumers and administrators. `bootstrap`: `host:port,…`.

    `quiet`: for one that is seldom or never polled, so that its log lines would pile up.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "client.id": "chat4all",
        # A broker that is back is noticed within a second, not within ten.
        "reconnect.backoff.max.ms": 1_000,
        "socket.keepalive.enable": True,
        "socket.timeout.ms": 10_000,
    }
    return config | ({"log_level": 2} if quiet else {"logger": _log})


def describe(error: KafkaError | KafkaException) -> str:
    """Return an error in Kafka's own words, with nothing of any record in it."""
    cause = error.args[0] if isinstance(error, KafkaException) else error
    return f"Kafka: {cause.str()}" if isinstance(cause, KafkaError) else f"Kafka: {cause}"
