"""The router's side of the log on Kafka: batches, with offsets that are checked against the log."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TypeVar

from chat4all.adapters.kafka.connection import client_config
from chat4all.adapters.kafka.group_member import GroupMember
from chat4all.adapters.kafka.lag import LagMeter
from chat4all.adapters.kafka.topics import Topics, offset_trouble
from chat4all.concurrency.periodic import periodically
from chat4all.domain.errors import RouterStopped, Unavailable
from chat4all.domain.ids import LogPosition
from chat4all.domain.records import Epoch
from chat4all.ports.log import Poll

T = TypeVar("T")

WAIT_SECONDS = 1.0
"""How long a poll waits for records."""

PREFETCH_KIB = 16 * 1024

LAG_SECONDS = 2.0
"""How often the log's ends are asked for, to measure the consumer lag."""

SERVE_SECONDS = 1.0
"""How often the library is polled while the router is busy."""


class KafkaConsumer:
    """A member of the router's group. Its only thread makes every call to the library.

    While the router is busy, perhaps for hours because a store is unavailable, its partitions are
    paused and the library is still polled, so that the broker does not consider it dead and others
    can join and leave.
    """

    def __init__(
        self,
        bootstrap: str,
        epoch: Epoch,
        group: str,
        *,
        session_seconds: float = 45.0,
        busy_seconds: float = 300.0,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._epoch = epoch
        self._wait_seconds = wait_seconds
        self._topics = Topics(bootstrap)
        self._lag = LagMeter(self._topics, epoch.topic)
        self._member = GroupMember(
            epoch,
            client_config(bootstrap)
            | {
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": int(session_seconds * 1000),
                "max.poll.interval.ms": int(max(busy_seconds, session_seconds) * 1000),
                "queued.max.messages.kbytes": PREFETCH_KIB,
            },
        )
        # Between calls of the thread the event loop may read and check them.
        self._assignments = self._member.assignments
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-consumer")
        self._polling: asyncio.Future[Poll] | None = None
        self._last_poll = time.monotonic()
        self._background = AsyncExitStack()

    async def open(self) -> None:
        """Join the group. The topic and the broker may come later."""
        await self._call(self._member.subscribe)
        for name, work, seconds in (
            ("serving the Kafka group", self._serve_if_busy, SERVE_SECONDS),
            ("measuring the consumer lag", self._measure, LAG_SECONDS),
        ):
            await self._background.enter_async_context(periodically(name, work, seconds))

    async def poll(self, limit: int) -> Poll:
        """Return the next records; see `ports.log.LogConsumer`.

        Raises `RouterStopped` when the log is not the one that this group has read so far.
        """
        # Records that were taken are not lost when the caller is cancelled.
        if self._polling is None:
            self._polling = asyncio.ensure_future(self._poll(limit))
        try:
            return await asyncio.shield(self._polling)
        finally:
            if self._polling.done():
                self._polling = None

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Commit, except partitions that another router has meanwhile."""
        await self._call(self._member.commit, through)

    def lag(self) -> Mapping[int, int]:
        """Return how many records of each assigned partition are not committed.

        Makes no request: the ends are those of `LAG_SECONDS` ago, or of Kafka's last answer.
        """
        return self._lag.lag(self._assignments.committed)

    async def close(self) -> None:
        """Leave the group, so that others take over at once."""
        if self._polling is not None:
            await asyncio.gather(self._polling, return_exceptions=True)
        await self._background.aclose()
        await self._call(self._member.close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _poll(self, limit: int) -> Poll:
        await self._call(self._member.take, limit, self._wait_seconds)
        self._last_poll = time.monotonic()
        if self._assignments.unchecked:
            await self._check()
        return await self._call(self._member.hand_out, limit)

    async def _check(self) -> None:
        """Check the committed offsets against the log, before the first record is handed out.

        EXACTNESS 8 and 10: an offset that is missing, below the log's start or beyond its end, or
        another topic of the same name, means that records were lost, or others would be read in
        their place.
        """
        topic, partitions = self._epoch.topic, sorted(self._assignments.unchecked)
        about = await self._topics.find(topic)
        if about is None:
            raise Unavailable(f"Kafka: topic {topic} does not exist (yet)")
        if about.topic_id != self._epoch.topic_id:
            raise RouterStopped(f"{topic} is not the topic that this group has read: it was remade")
        if about.partitions != self._epoch.partitions:
            raise RouterStopped(
                f"{topic} has {about.partitions} partitions instead of {self._epoch.partitions}: "
                "a conversation's messages would be in two of them"
            )
        committed = await self._call(self._member.committed, partitions)
        for partition, (first, end) in (await self._topics.ends(topic, partitions)).items():
            if (trouble := offset_trouble(committed[partition], first, end)) is not None:
                raise RouterStopped(f"partition {partition} of {topic}: {trouble}")
        self._assignments.check(committed)

    async def _measure(self) -> None:
        await self._lag.measure(self._assignments.partitions)

    async def _serve_if_busy(self) -> None:
        if self._polling is None and time.monotonic() > self._last_poll + SERVE_SECONDS:
            await self._call(self._member.serve)
