"""Watching the routers from outside: whether accepted messages are processed."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from chat4all.adapters.kafka.group import GroupState, KafkaGroup
from chat4all.domain.errors import Degraded, Unavailable
from chat4all.domain.records import Epoch
from chat4all.ports.health import ASIDE_PING_SECONDS

LOOK_SECONDS = 5.0
STUCK_SECONDS = 30.0
"""A partition with records to process is stuck after so long without a commit."""

NO_ROUTER = (
    "no router runs: nobody is in the consumer group {group}, and {lag} accepted messages wait in "
    "the log: start `chat4all router`, with the same CHAT4ALL_KAFKA_GROUP"
)
STUCK = (
    "the routers do not go on: {lag} accepted messages wait in the log, and nothing of {count} of "
    "its partitions was stored for {seconds:g} s: see `/health/ready` and the log of the routers"
)


class RoutersWatch:
    """Detects that accepted messages are not processed. Asks at most every `LOOK_SECONDS`."""

    def __init__(
        self,
        group: KafkaGroup,
        name: str,
        *,
        stuck_seconds: float = STUCK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._name = name
        self._stuck_seconds = stuck_seconds
        self._clock = clock
        self._look_again = 0.0
        self._trouble: str | None = None
        self._moved: dict[int, tuple[int, float]] = {}
        """By partition with records to process: its committed offset, and since when it stands."""

    async def trouble(self, epoch: Epoch) -> str | None:
        """Return what is wrong, in a sentence. Raises `Unavailable` when Kafka does not answer."""
        if self._clock() >= self._look_again:
            state = await self._group.state(epoch)
            self._look_again = self._clock() + LOOK_SECONDS
            self._trouble = self.judge(state)
        return self._trouble

    def judge(self, state: GroupState) -> str | None:
        """Return what is wrong with this state, compared with the previous ones."""
        now, lag = self._clock(), state.lag
        waiting = sum(lag.values())
        self._moved = {
            partition: before
            if (before := self._moved.get(partition))
            and before[0] == state.committed.get(partition, 0)
            else (state.committed.get(partition, 0), now)
            for partition, count in lag.items()
            if count
        }
        if not state.members:
            return NO_ROUTER.format(group=self._name, lag=waiting)
        stuck = sum(now - since >= self._stuck_seconds for _, since in self._moved.values())
        if stuck:
            return STUCK.format(lag=waiting, count=stuck, seconds=self._stuck_seconds)
        return None

    async def ping(self, epoch: Epoch | None) -> None:
        """Raise `Degraded` while accepted messages are not processed.

        A gateway accepts messages without routers, but must report that there are none. While the
        log is not known or does not answer, the log's own ping reports why.
        """
        if epoch is None:
            return
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(ASIDE_PING_SECONDS):
                trouble = await self.trouble(epoch)
            if trouble is not None:
                raise Degraded(trouble)
