"""The routers as Kafka sees them: who is in their group, and what waits for them."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from chat4all.adapters.kafka.connection import client_config, said
from chat4all.adapters.kafka.reaching import SHOWN
from chat4all.adapters.kafka.topics import Topics
from chat4all.domain.errors import Unavailable
from chat4all.domain.records import Epoch

LOOK_SECONDS = 5.0
STUCK_SECONDS = 30.0
"""After so long without a commit a partition in which records wait is not processed."""

ASK_SECONDS = 1.5

NO_ROUTER = (
    "no router runs: nobody is in the consumer group {group}, and {lag} accepted messages wait in "
    "the log: start `chat4all router`, with the same CHAT4ALL_KAFKA_GROUP"
)
STUCK = (
    "the routers do not go on: {lag} accepted messages wait in the log, and nothing of {count} of "
    "its partitions was stored for {seconds:g} s: see `/health/ready` and the log of the routers"
)


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group and its log. Offsets by partition; a partition without a commit has none here."""

    members: Sequence[str]
    """Kafka's ids of them."""

    committed: Mapping[int, int]
    bounds: Mapping[int, tuple[int, int]]
    """The first record's offset, and that of the next to come."""

    @property
    def lag(self) -> Mapping[int, int]:
        """How many records of each partition are not stored yet."""
        return {
            partition: max(0, end - max(first, self.committed.get(partition, 0)))
            for partition, (first, end) in self.bounds.items()
        }


class KafkaGroup:
    """Asks about a consumer group, off the event loop, and changes nothing."""

    def __init__(self, bootstrap: str, group: str) -> None:
        self._group = group
        self._topics = Topics(bootstrap)
        # Never an administrator's requests to the group's coordinator: see `Topics`.
        config = client_config(bootstrap, quiet=True)
        self._admin = AdminClient(config)
        self._outsider = Consumer(config | {"group.id": group, "enable.auto.commit": False})

    async def state(self, epoch: Epoch, seconds: float = ASK_SECONDS) -> GroupState:
        """Return how it stands with a log. Raises `Unavailable`."""
        partitions = range(epoch.partitions)
        places = [TopicPartition(epoch.topic, number) for number in partitions]
        try:
            members, committed, bounds = await asyncio.gather(
                asyncio.to_thread(self._members, seconds),
                asyncio.to_thread(self._outsider.committed, places, timeout=seconds),
                self._topics.ends(epoch.topic, partitions, seconds),
            )
        except KafkaException as error:
            raise Unavailable(said(error), SHOWN) from None
        offsets = {place.partition: place.offset for place in committed if place.offset >= 0}
        return GroupState(members, offsets, bounds)

    def _members(self, seconds: float) -> list[str]:
        found = self._admin.list_groups(self._group, seconds)
        return [str(member.id) for group in found for member in group.members]


class RoutersWatch:
    """Says when what is accepted is not processed. Asks at most every `LOOK_SECONDS`."""

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
        """What was committed of each partition where records wait, and since when."""

    async def trouble(self, epoch: Epoch) -> str | None:
        """Return what is wrong, in a sentence. Raises `Unavailable` when it cannot be known."""
        if self._clock() >= self._look_again:
            state = await self._group.state(epoch)
            self._look_again = self._clock() + LOOK_SECONDS
            self._trouble = self.judge(state)
        return self._trouble

    def judge(self, state: GroupState) -> str | None:
        """Return what is wrong with this state, knowing the ones before."""
        now, lag = self._clock(), state.lag
        waiting = sum(lag.values())
        self._moved = {
            partition: known
            if (known := self._moved.get(partition))
            and known[0] == state.committed.get(partition, 0)
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
