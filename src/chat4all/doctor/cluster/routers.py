"""The check of the routers: whether accepted messages are processed."""

import asyncio
import time
from collections.abc import AsyncIterator

from chat4all.adapters.kafka import GroupState, KafkaGroup, RoutersWatch
from chat4all.adapters.kafka.topics import offset_trouble
from chat4all.doctor.cluster.installation import Cluster
from chat4all.doctor.findings import Finding, Status

ASK_SECONDS = 5.0

PROGRESS_SECONDS = 5.0
"""Routers that are behind must have committed something within this time."""


async def routers(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that accepted messages are processed: members, offsets, lag."""
    if not cluster.kafka_answers or cluster.epoch is None:
        return
    epoch, name = cluster.epoch, cluster.settings.kafka_group
    group = KafkaGroup(cluster.settings.kafka_bootstrap, name)
    state = await group.state(epoch, ASK_SECONDS)
    for partition, (first, end) in state.bounds.items():
        trouble = offset_trouble(state.committed.get(partition, -1), first, end)
        if trouble is not None:
            yield Finding(
                Status.PROBLEM,
                f"partition {partition} of {epoch.topic}: {trouble}",
                "no router goes on there: look what happened to the log or to the group's offsets, "
                "then commit the offset from which to go on with kafka-consumer-groups.sh",
            )
    watch = RoutersWatch(group, name, stuck_seconds=PROGRESS_SECONDS)
    deadline = time.monotonic() + PROGRESS_SECONDS + 1
    trouble = watch.judge(state)
    at_start = state.committed
    while state.members and _lag(state) and state.committed == at_start and not trouble:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
        state = await group.state(epoch, ASK_SECONDS)
        trouble = watch.judge(state)
    if trouble is not None:
        yield Finding(Status.PROBLEM, trouble)
        return
    says = f"routers: {len(state.members)}; messages that wait: {_lag(state)}"
    lag = ", ".join(f"{partition}: {count}" for partition, count in state.lag.items() if count)
    yield Finding(Status.OK, says + (f"; by partition: {lag}" if lag else ""))


def _lag(state: GroupState) -> int:
    return sum(state.lag.values())
