"""The router's side of the log on Kafka: batches, with offsets that are checked against the log."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from typing import NoReturn, TypeVar

from chat4all.adapters.kafka.connection import client_config
from chat4all.adapters.kafka.group_member import GroupMember
from chat4all.adapters.kafka.lag import LagMeter
from chat4all.adapters.kafka.topics import Topics, offset_trouble, topic_trouble
from chat4all.concurrency.periodic import periodically
from chat4all.domain.errors import Degraded, RouterStopped, Unavailable
from chat4all.domain.ids import LogPosition
from chat4all.domain.records import Epoch
from chat4all.ports.log import Poll

T = TypeVar("T")

WAIT_SECONDS = 1.0
"""How long a poll waits for records."""

PREFETCH_KIB = 16 * 1024

LAG_SECONDS = 2.0
"""How often the log's ends are asked for, to measure the consumer lag."""

CHECK_SECONDS = 0.25
"""How long a poll that has nothing else waits for a check of committed offsets."""

CHECK_AGAIN_SECONDS = 1.0
"""How long a check that failed is not begun again."""

HEARTBEAT_SECONDS = 1.0

UNCONFIRMED_SECONDS = 60.0
"""How long records are routed while Kafka confirms no commit. If the router died then, all of them
would be routed again. Kafka confirms none while the group waits for a member that died: about a
session."""

NOT_JOINED = "the router has no partitions yet: it waits for the consumer group {group}"
STANDBY = (
    "no partition is assigned to this router: consumer group {group} has more routers than {topic} "
    "has partitions ({count}); it stands by"
)

NO_LEADER = "{topic}: no answer about partitions {partitions}, which wait for a leader"

SERVE_SECONDS = 1.0
"""How often the library is polled while the router is busy."""


class KafkaConsumer:
    """A member of the router's group. Its only thread makes every call to the library.

    With a `name`, which no other living member may have, it keeps its partitions while it is
    restarted within `session_seconds`; nobody else waits for it meanwhile.

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
        name: str | None = None,
        session_seconds: float = 10.0,
        busy_seconds: float = 300.0,
        wait_seconds: float = WAIT_SECONDS,
        unconfirmed_seconds: float = UNCONFIRMED_SECONDS,
    ) -> None:
        self._epoch = epoch
        self._group = group
        self._wait_seconds = wait_seconds
        self._unconfirmed_seconds = unconfirmed_seconds
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
                "heartbeat.interval.ms": int(min(HEARTBEAT_SECONDS, session_seconds / 3) * 1000),
                "max.poll.interval.ms": int(max(busy_seconds, session_seconds) * 1000),
                "queued.max.messages.kbytes": PREFETCH_KIB,
            }
            | ({} if name is None else {"group.instance.id": name}),
        )
        # Between calls of the thread the event loop may read and check them.
        self._assignments = self._member.assignments
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-consumer")
        self._polling: asyncio.Future[Poll] | None = None
        self._checking: asyncio.Future[None] | None = None
        self._contradiction: RouterStopped | None = None
        self._unchecked_cause: Unavailable | None = None
        """Why assigned partitions cannot be checked; nothing is handed out of them meanwhile."""
        self._check_again = 0.0
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
        # Records that were taken are not lost when the caller is cancelled, also in the moment in
        # which they were taken: the next caller gets them.
        polling = self._polling = self._polling or asyncio.ensure_future(self._poll(limit))
        await asyncio.wait({polling})
        self._polling = None
        return polling.result()

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Have these committed, except partitions that another router has meanwhile.

        Returns before Kafka has confirmed it, unless it has confirmed nothing for long.
        """
        await self._call(self._member.commit, through, self._unconfirmed_seconds)

    def stop(self, partition: int, cause: str) -> None:
        """Hand out nothing more of a partition; see `ports.log.LogConsumer`."""
        self._assignments.stop(partition, cause)

    async def ping(self) -> None:
        """Return while partitions are assigned; `Unavailable` before the group has assigned any.

        `Degraded` where there is none left for this router: it takes over when another one ends.
        """
        if not self._assignments.are_known:
            raise Unavailable(NOT_JOINED.format(group=self._group))
        if not self._assignments.partitions:
            topic, count = self._epoch.topic, self._epoch.partitions
            raise Degraded(STANDBY.format(group=self._group, topic=topic, count=count))
        if self._unchecked_cause is not None:
            raise Unavailable(str(self._unchecked_cause), self._unchecked_cause.public)

    @property
    def is_fenced(self) -> bool:
        """Whether the group has given this consumer's name to another one, for good."""
        return self._member.is_fenced

    def lag(self) -> Mapping[int, int]:
        """Return how many records of each assigned partition are not committed.

        Makes no request: the ends are those of `LAG_SECONDS` ago, or of Kafka's last answer.
        """
        return self._lag.lag(self._assignments.committed)

    async def close(self, *, leaving: bool = False) -> None:
        """End, with what was committed confirmed if Kafka answers; see `GroupMember.close`."""
        if self._polling is not None:
            await asyncio.gather(self._polling, return_exceptions=True)
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait({self._checking})
        await self._background.aclose()
        await self._call(partial(self._member.close, leaving=leaving))
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _poll(self, limit: int) -> Poll:
        has_taken = await self._call(self._member.take, limit, self._wait_seconds)
        self._last_poll = time.monotonic()
        trouble = await self._check_new(0.0 if has_taken else CHECK_SECONDS)
        poll = await self._call(self._member.hand_out, limit)
        if trouble is not None and not poll.records:
            raise trouble
        return poll

    async def _check_new(self, seconds: float) -> Unavailable | None:
        """Have new assignments checked, and wait for so long; return what prevents it.

        Partitions that are checked already do not wait for it, nor does the consumer's thread.
        """
        if self._contradiction is not None:
            raise self._contradiction
        if self._checking is None:
            if not (unchecked := self._assignments.unchecked):
                self._unchecked_cause = None
                return None
            if self._unchecked_cause is not None and time.monotonic() < self._check_again:
                return self._unchecked_cause
            self._checking = asyncio.create_task(self._check(unchecked))
        await asyncio.wait({self._checking}, timeout=seconds)
        if not self._checking.done():
            return None
        checking, self._checking = self._checking, None
        self._check_again = time.monotonic() + CHECK_AGAIN_SECONDS
        match checking.exception():
            case None:
                self._unchecked_cause = None
                return None
            case Unavailable() as trouble:
                self._unchecked_cause = trouble
                return trouble
            case error:
                raise error

    async def _check(self, unchecked: Mapping[int, int]) -> None:
        """Check the committed offsets against the log, before the first record is handed out.

        EXACTNESS 8 and 10: an offset that is missing, below the log's start or beyond its end, or
        another topic of the same name, means that records were lost, or others would be read in
        their place. The former stops its partition; the latter, which all partitions have in
        common, raises `RouterStopped`.
        """
        topic, partitions = self._epoch.topic, sorted(unchecked)
        about = await self._topics.find(topic)
        if about is None:
            raise Unavailable(f"Kafka: topic {topic} does not exist (yet)")
        if (trouble := topic_trouble(about, self._epoch)) is not None:
            self._contradict(trouble)
        committed = await self._topics.committed(topic, partitions, self._group)
        ends = await self._topics.ends(topic, partitions)
        troubles = {
            partition: f"{topic}: {trouble}"
            for partition, (first, end) in ends.items()
            if (trouble := offset_trouble(committed[partition], first, end)) is not None
        }
        checked = {partition: unchecked[partition] for partition in ends}
        await self._call(self._assignments.check, checked, committed, troubles)
        if leaderless := [str(number) for number in partitions if number not in ends]:
            raise Unavailable(NO_LEADER.format(topic=topic, partitions=", ".join(leaderless)))

    def _contradict(self, cause: str) -> NoReturn:
        self._contradiction = RouterStopped(cause)
        raise self._contradiction

    async def _measure(self) -> None:
        await self._lag.measure(self._assignments.partitions)

    async def _serve_if_busy(self) -> None:
        is_polling = self._polling is not None and not self._polling.done()
        if not is_polling and time.monotonic() > self._last_poll + SERVE_SECONDS:
            await self._call(self._member.serve)
