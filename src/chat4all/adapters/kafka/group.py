"""The routers as Kafka sees them: who is in their group, and what waits for them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from chat4all.adapters.kafka.connection import client_config, said
from chat4all.adapters.kafka.reaching import SHOWN
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


class Outsider:
    """A client that asks where the log ends and what is committed, and joins no group.

    Its calls block. An administrator's requests to a group's coordinator and to partitions' leaders
    would not, but librdkafka (2.16) may abort the process in them when a broker dies.
    """

    def __init__(self, bootstrap: str, group: str) -> None:
        self._consumer = Consumer(
            client_config(bootstrap, logger=None)
            | {"group.id": group, "enable.auto.commit": False, "log_level": 2}
        )

    def committed(self, topic: str, partitions: Iterable[int], seconds: float) -> dict[int, int]:
        """Return the group's offsets, without those of partitions that have none."""
        places = [TopicPartition(topic, number) for number in partitions]
        found = self._consumer.committed(places, timeout=seconds)
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def bounds(
        self, topic: str, partitions: Iterable[int], seconds: float
    ) -> dict[int, tuple[int, int]]:
        """Return the offsets of each partition's first record and of the next to come."""
        deadline = time.monotonic() + seconds
        found = {}
        for number in partitions:
            left = max(0.1, deadline - time.monotonic())
            both = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=left)
            if both is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            found[number] = both
        return found


class KafkaGroup:
    """Asks about a consumer group, off the event loop, and changes nothing."""

    def __init__(self, bootstrap: str, group: str) -> None:
        self._group = group
        self._outsider = Outsider(bootstrap, group)
        self._admin = AdminClient(client_config(bootstrap, logger=None) | {"log_level": 2})

    async def state(self, epoch: Epoch, seconds: float = ASK_SECONDS) -> GroupState:
        """Return how it stands with a log. Raises `Unavailable`."""
        partitions = range(epoch.partitions)
        try:
            members, committed, bounds = await asyncio.gather(
                asyncio.to_thread(self._members, seconds),
                asyncio.to_thread(self._outsider.committed, epoch.topic, partitions, seconds),
                asyncio.to_thread(self._outsider.bounds, epoch.topic, partitions, seconds),
            )
        except KafkaException as error:
            raise Unavailable(said(error), SHOWN) from None
        return GroupState(members, committed, bounds)

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
