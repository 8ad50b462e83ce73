"""Checks of Kafka and of the topics."""

from collections.abc import AsyncIterator

from chat4all.adapters.kafka import (
    KafkaInspection,
    TopicFacts,
    alter_command,
    differences,
    log_settings,
)
from chat4all.doctor.cluster.installation import Cluster
from chat4all.doctor.findings import Finding, Status

_LOSING = {"cleanup.policy", "min.insync.replicas", "unclean.leader.election.enable"}
"""Settings whose wrong values can lose records; others affect speed or retention."""


async def kafka(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that Kafka answers, also at its advertised addresses."""
    brokers = await KafkaInspection(cluster.settings.kafka_bootstrap).brokers()
    cluster.kafka_answers = True
    named = ", ".join(map(str, brokers))
    yield Finding(
        Status.OK,
        f"{cluster.settings.kafka_bootstrap} answers; brokers that can be reached: {named}",
    )


async def topics(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that the topics are those of the log, with the settings that it relies on."""
    if not cluster.kafka_answers:
        return
    inspection, settings = KafkaInspection(cluster.settings.kafka_bootstrap), cluster.settings
    for name in (settings.kafka_topic, settings.kafka_topic_events):
        facts = await inspection.topic(name)
        if facts is None:
            yield Finding(Status.PROBLEM, f"Kafka has no topic {name}: run `chat4all migrate`")
            continue
        copies = "1 copy" if facts.replicas == 1 else f"{facts.replicas} copies"
        yield Finding(Status.OK, f"{name} has {facts.partitions} partitions, {copies} of each")
        if facts.leaderless:
            says = f"{name}: {facts.leaderless} partitions have no leader"
            yield Finding(Status.PROBLEM, says, "start the brokers that have them")
        if facts.short:
            says = f"{name}: {facts.short} partitions have copies that are behind or away"
            yield Finding(Status.WARNING, says, "look at the brokers; another loss stops sending")
        if name == settings.kafka_topic:
            for finding in _compare_log_topic(cluster, facts):
                yield finding


def _compare_log_topic(cluster: Cluster, facts: TopicFacts) -> list[Finding]:
    """Compare the log's topic with its row in Cassandra and with the settings it should have."""
    name, findings = cluster.settings.kafka_topic, []
    servers = cluster.settings.kafka_bootstrap
    if cluster.epoch is not None:
        if cluster.epoch.topic != name:
            says = (
                f"the log is topic {cluster.epoch.topic}, and KAFKA_TOPIC_CHAT_MESSAGES is {name}"
            )
            findings.append(Finding(Status.PROBLEM, says, "name the log's topic"))
        elif cluster.epoch.topic_id != facts.topic_id:
            says = f"{name} is not the topic that the log was: it was remade"
            do = "the log and the store are no pair any more: use another keyspace and group"
            findings.append(Finding(Status.PROBLEM, says, do))
        elif cluster.epoch.partitions != facts.partitions:
            says = f"{name} has {facts.partitions} partitions instead of {cluster.epoch.partitions}"
            do = "no router goes on: a conversation's messages would be in two of them"
            findings.append(Finding(Status.PROBLEM, says, do))
    expected = log_settings(cluster.settings.log_retention_days, facts.replicas)
    for one in differences(facts, expected):
        status = Status.PROBLEM if one.setting in _LOSING else Status.WARNING
        command = alter_command(servers, name, [one])
        findings.append(Finding(status, f"{name}: {one}", command))
    return findings
