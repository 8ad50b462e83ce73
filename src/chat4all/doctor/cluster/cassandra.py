"""Checks of Cassandra, of the dead letters in it, and of its clock."""

import time
from collections.abc import AsyncIterator

from chat4all.adapters.cassandra import CassandraEpochs, CassandraInspection
from chat4all.adapters.kafka import NO_LOG
from chat4all.doctor.cluster.installation import Cluster
from chat4all.doctor.dead_letters import dead_letters_finding
from chat4all.doctor.findings import Finding, Status

CLOCKS_MS = 500
"""How far clocks may be apart; a gateway whose clock is further ahead of Kafka's is not ready."""

LETTERS_MAX = 1_000
"""Dead letters that are counted in one partition."""


async def cassandra(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that Cassandra answers, has the tables, and keeps acknowledged writes."""
    inspection = CassandraInspection(cluster.session)
    node = await inspection.node()
    cluster.cassandra_answers = True
    yield Finding(Status.OK, f"Cassandra {node.release} answers")
    keyspace = cluster.settings.cassandra_keyspace
    missing = await inspection.missing_steps()
    if missing:
        says = f"keyspace {keyspace} misses {', '.join(missing)}"
        yield Finding(Status.PROBLEM, says, "run `chat4all migrate`")
        return
    yield Finding(Status.OK, f"keyspace {keyspace} is up to date")
    if await inspection.replicas(keyspace) == 1 and not node.syncs_before_ack:
        sync = node.settings.get("commitlog_sync")
        yield Finding(
            Status.WARNING,
            f"keyspace {keyspace} has one copy, and commitlog_sync is {sync}: a node that is "
            "killed forgets what it acknowledged last",
            "set `commitlog_sync: group` in cassandra.yaml, or have three nodes and "
            "CHAT4ALL_CASSANDRA_REPLICAS=3",
        )
    cluster.epoch = await CassandraEpochs(cluster.session).newest()
    if cluster.epoch is None:
        yield Finding(Status.PROBLEM, NO_LOG)


async def dead_letters(cluster: Cluster) -> AsyncIterator[Finding]:
    """Look for dead letters that were not replayed."""
    if cluster.epoch is None:
        return
    count = await CassandraInspection(cluster.session).letters_waiting(LETTERS_MAX)
    yield dead_letters_finding(count)


async def clocks(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that this machine's clock and Cassandra's agree."""
    if not cluster.cassandra_answers:
        return
    before = time.time_ns() // 1_000_000
    node = await CassandraInspection(cluster.session).node()
    after = time.time_ns() // 1_000_000
    apart = max(before - node.clock_ms, node.clock_ms - after)
    if apart > CLOCKS_MS:
        which = "behind" if node.clock_ms > after else "ahead of"
        yield Finding(
            Status.WARNING,
            f"this machine's clock is at least {apart} ms {which} Cassandra's",
            "set both right, by NTP for instance; a gateway ahead of Kafka's clock is not ready",
        )
    else:
        yield Finding(Status.OK, "this machine's and Cassandra's agree")
