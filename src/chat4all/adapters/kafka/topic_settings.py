"""The settings of the topics, and how a topic that exists differs from them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

RECORD_MAX = 1_048_588
"""Bytes of a record that each topic takes: Kafka's own default."""

_AT_LEAST = {"max.message.bytes"}
"""Settings of which more is as good."""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as the cluster has it; `settings` are Kafka's own names and values in effect."""

    topic_id: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]
    leaderless: int
    """Partitions without a leader."""

    short: int
    """Partitions with fewer in-sync replicas than they should have."""

    own: Collection[str] = ()
    """The settings that were given to the topic; the others are the broker's."""


class Difference(NamedTuple):
    """A setting with another value than it should have."""

    setting: str
    actual: str | None
    expected: str

    def __str__(self) -> str:
        return f"{self.setting} is {self.actual} and should be {self.expected}"


def log_settings(retention_days: int, replicas: int) -> dict[str, str]:
    """Return the settings of the topic of messages (EXACTNESS 8)."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_days * 86_400_000),
        "retention.bytes": "-1",  # by time alone, whatever the broker's own default is
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": "2" if replicas > 2 else "1",
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(RECORD_MAX),
    }


def feed_settings() -> dict[str, str]:
    """Return the settings of the topic of live events. Readers that miss some read the store."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(3_600_000),
        # By these stamps services compare their clocks with the broker's.
        "message.timestamp.type": "LogAppendTime",
        "segment.ms": str(600_000),
        "max.message.bytes": str(RECORD_MAX),
    }


FEED_ADDED: Collection[str] = ("message.timestamp.type",)
"""Settings of the feed that earlier releases did not give it."""


def differences(facts: TopicFacts, settings: Mapping[str, str]) -> list[Difference]:
    """Return the settings in effect that are not as they should be."""
    return [
        Difference(name, actual, expected)
        for name, expected in settings.items()
        if not _is_as_good(name, actual := facts.settings.get(name), expected)
    ]


def _is_as_good(name: str, actual: str | None, expected: str) -> bool:
    if name in _AT_LEAST and actual is not None:
        return int(actual) >= int(expected)
    return actual == expected


def alter_command(bootstrap: str, topic: str, found: list[Difference]) -> str:
    """Return the command that sets a topic's settings right."""
    settings = ",".join(f"{one.setting}={one.expected}" for one in found)
    return (
        f"`kafka-configs.sh --bootstrap-server {bootstrap} --alter --topic {topic} "
        f"--add-config {settings}`"
    )
