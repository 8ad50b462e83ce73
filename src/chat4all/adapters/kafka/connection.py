"""What every Kafka client of Chat4All is told, and how its errors are said."""

import logging
from typing import Any

from confluent_kafka import KafkaError, KafkaException

_log = logging.getLogger("chat4all.kafka")


def client_config(bootstrap: str, *, quiet: bool = False) -> dict[str, Any]:
    """Return what producers, consumers and administrators share. `bootstrap`: `host:port,…`.

    `quiet`: for one that is seldom or never polled, so that what it would log would pile up.
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


def said(error: KafkaError | KafkaException) -> str:
    """Return an error in Kafka's own words, with nothing of any record in it."""
    found = error.args[0] if isinstance(error, KafkaException) else error
    return f"Kafka: {found.str()}" if isinstance(found, KafkaError) else f"Kafka: {found}"
