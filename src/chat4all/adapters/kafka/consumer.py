"""The router's side of the log on Kafka: batches, offsets that are guarded, assignments."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from chat4all.adapters.kafka.connection import client_config, said
from chat4all.adapters.kafka.reachability import PUBLIC
from chat4all.adapters.kafka.topics import ASK_SECONDS, Topics, offset_trouble
from chat4all.domain.errors import RouterStopped, Unavailable
from chat4all.domain.ids import LogPosition
from chat4all.domain.records import Epoch, Headers, LogRecord
from chat4all.ports.log import Poll

T = TypeVar("T")

_log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""How long a poll of a quiet log lasts."""

GATHER_SECONDS = 0.005
"""How long a batch that is not full waits for more."""

TAKE_SECONDS = 0.05
"""How long a batch may grow while there is always one more to take."""

BYTES_MAX = 4 * 1024 * 1024
"""Bytes of records after which a batch is full."""

PREFETCH_KIB = 16 * 1024

LAG_SECONDS = 2.0
"""How often the log's ends are asked for, to tell how far behind we are."""

REPORT_SECONDS = 0.002
"""How long a commit's report is waited for at once: the library goes on waiting for messages."""

TAKEN_MAX = 10_000
"""Messages that may come in while a commit is waited for; then partitions are paused, and all that
the library has fetched of them is fetched again."""

SERVE_SECONDS = 1.0
"""How often the group is attended to while the router is busy."""

# The offset at which the router wants to go on is not there, or not the same log's any more.
_CONTRADICTIONS = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError._LOG_TRUNCATION,  # seen by who was reading as it happened
}


class KafkaConsumer:
    """A member of the router's group. Its only thread makes every call into the library.

    While the router is busy, be it for hours because a store is away, its partitions are paused and
    the group is attended to, so that nobody takes it for dead and others can join and leave.
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
        self._config = client_config(bootstrap) | {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(session_seconds * 1000),
            "max.poll.interval.ms": int(max(busy_seconds, session_seconds) * 1000),
            "queued.max.messages.kbytes": PREFETCH_KIB,
            "on_commit": self._on_commit,
        }
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-consumer")
        self._polling: asyncio.Future[Poll] | None = None
        self._serving: asyncio.Task[None] | None = None
        # The rest is the thread's alone, but for when no call of it is under way.
        self._assigned: dict[int, int] = {}
        self._assignments = 0
        self._unchecked: set[int] = set()
        self._paused: set[int] = set()
        self._taken: list[tuple[int, Message]] = []
        self._error: KafkaError | None = None
        self._reports: list[tuple[KafkaError | None, Sequence[TopicPartition]]] = []
        self._handed: dict[int, int] = {}
        self._done: dict[int, int] = {}
        """What is committed of each partition that was looked at."""
        self._last_poll = time.monotonic()
        # This one the loop's: each partition's end, as of a few seconds ago.
        self._ends: dict[int, int] = {}
        self._measuring: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Join the group. The topic and the broker may come later."""
        await self._call(self._subscribe)
        self._serving = asyncio.create_task(self._serve_while_busy(), name="kafka group")
        self._measuring = asyncio.create_task(self._measure_for_ever(), name="kafka lag")

    async def poll(self, limit: int) -> Poll:
        """Return what comes next; see `ports.LogConsumer`.

        Raises `RouterStopped` when the log is not the one that this group has read so far.
        """
        # Also when the one who waits here is cancelled, what was taken is not lost.
        if self._polling is None:
            self._polling = asyncio.ensure_future(self._poll(limit))
        try:
            return await asyncio.shield(self._polling)
        finally:
            if self._polling.done():
                self._polling = None

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Commit; partitions that have gone to another router meanwhile are its to commit."""
        await self._call(self._commit, through)

    def lag(self) -> Mapping[int, int]:
        """Return how many records of each partition that is ours are not committed.

        Nothing is asked here: the ends are those of `LAG_SECONDS` ago, or of when Kafka went away.
        """
        return {
            partition: max(0, self._ends[partition] - offset)
            for partition, offset in self._done.copy().items()
            if partition in self._ends
        }

    async def close(self) -> None:
        """Leave the group, so that others take over at once."""
        if self._polling is not None:
            await asyncio.gather(self._polling, return_exceptions=True)
        tasks = {task for task in (self._serving, self._measuring) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._call(self._consumer.close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _subscribe(self) -> None:
        self._consumer = Consumer(self._config)
        self._consumer.subscribe(
            [self._epoch.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    def _on_assign(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._assignments += 1
            self._assigned[place.partition] = self._assignments
            self._unchecked.add(place.partition)

    def _on_revoke(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        gone = {place.partition for place in places}
        # A pause would outlast the assignment.
        self._resume(self._paused & gone)
        for partition in gone:
            self._assigned.pop(partition, None)
            self._done.pop(partition, None)
            self._unchecked.discard(partition)

    async def _poll(self, limit: int) -> Poll:
        await self._call(self._take, limit)
        if self._unchecked:
            await self._check()
        return await self._call(self._hand_out, limit)

    def _take(self, limit: int) -> None:
        """Take messages, at most so many, bounded by their bytes and by time."""
        self._last_poll = now = time.monotonic()
        self._resume(self._paused)
        until, last = now + self._wait_seconds, math.inf
        size = self._size()
        if self._taken:  # while the last commit was waited for
            until, last = now + GATHER_SECONDS, now + TAKE_SECONDS
        while self._error is None and len(self._taken) < limit and size < BYTES_MAX and now < last:
            took = self._next(max(0.0, until - now))
            now = time.monotonic()
            if took:
                if size == 0:
                    until, last = now + GATHER_SECONDS, now + TAKE_SECONDS
                size += len(self._taken[-1][1])
            elif now >= until:
                break
        self._last_poll = time.monotonic()

    def _size(self) -> int:
        """Return the bytes that were taken and not handed out."""
        return sum(len(message) for _, message in self._taken)

    def _next(self, seconds: float) -> bool:
        """Take one message, if one comes in time.

        One by one, because the group's changes are told in between: a list may hold messages from
        before and after a partition was away.
        """
        message = self._consumer.poll(seconds)
        if message is None:
            return False
        if (error := message.error()) is not None:
            self._error = error
            return False
        number = self._assigned.get(message.partition() or 0)
        if number is not None:
            self._taken.append((number, message))
        return number is not None

    async def _check(self) -> None:
        """Compare what is committed with what there is, before the first record is handed out.

        EXACTNESS 8 and 10: an offset that is missing, below the log's start or beyond its end, or
        another topic of the same name, means that records were lost or would be read as others.
        """
        topic, asked = self._epoch.topic, sorted(self._unchecked)
        found = await self._topics.find(topic)
        if found is None:
            raise Unavailable(f"Kafka: topic {topic} does not exist (yet)")
        if found.topic_id != self._epoch.topic_id:
            raise RouterStopped(f"{topic} is not the topic that this group has read: it was remade")
        if found.partitions != self._epoch.partitions:
            raise RouterStopped(
                f"{topic} has {found.partitions} partitions instead of {self._epoch.partitions}: "
                "a conversation's messages would be in two of them"
            )
        committed = await self._call(self._committed, asked)
        for partition, (first, end) in (await self._topics.ends(topic, asked)).items():
            if (trouble := offset_trouble(committed[partition], first, end)) is not None:
                raise RouterStopped(f"partition {partition} of {topic}: {trouble}")
        self._unchecked.difference_update(asked)
        # Not of those that have gone meanwhile. Between calls of the thread this is ours to do.
        self._done |= {n: offset for n, offset in committed.items() if n in self._assigned}

    def _committed(self, partitions: Sequence[int]) -> dict[int, int]:
        places = [TopicPartition(self._epoch.topic, number) for number in partitions]
        try:
            found = self._consumer.committed(places, timeout=ASK_SECONDS)
        except KafkaException as error:
            raise Unavailable(said(error), PUBLIC) from None
        return {place.partition: place.offset for place in found}

    def _hand_out(self, limit: int) -> Poll:
        """Return what was taken under assignments that still hold; then say what went wrong."""
        holding = [
            (number, message)
            for number, message in self._taken
            if self._assigned.get(message.partition() or 0) == number
        ]
        taken, self._taken = [message for _, message in holding[:limit]], holding[limit:]
        if not taken and self._error is not None:
            error, self._error = self._error, None
            self._say(error)
        self._handed = dict(self._assigned)
        return Poll([self._record(message) for message in taken], dict(self._handed))

    def _say(self, error: KafkaError) -> None:
        if error.code() in _CONTRADICTIONS or error.fatal():
            raise RouterStopped(f"{self._epoch.topic}: {said(error)}")
        raise Unavailable(said(error), PUBLIC)

    def _record(self, message: Message) -> LogRecord:
        kind, stamp = message.timestamp()
        return LogRecord(
            LogPosition(self._epoch.number, message.partition() or 0, message.offset() or 0),
            message.key() or b"",
            message.value() or b"",
            stamp,
            kind == TIMESTAMP_LOG_APPEND_TIME,
            _headers(message),
        )

    def _commit(self, through: Sequence[LogPosition]) -> None:
        offsets = [
            TopicPartition(self._epoch.topic, place.partition, place.offset + 1)
            for place in through
            if self._handed.get(place.partition, 0) == self._assigned.get(place.partition)
        ]
        if not offsets:
            return
        # The library's own way of waiting for it has no end, and the group is not attended to: when
        # the session is over before there is an answer, there never is one.
        wanted = {place.partition: place.offset for place in offsets}
        self._reports.clear()
        size = self._size()
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
            deadline = time.monotonic() + ASK_SECONDS
            while not self._is_reported(wanted):
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                if len(self._taken) < TAKEN_MAX and size < BYTES_MAX:
                    size += len(self._taken[-1][1]) if self._next(REPORT_SECONDS) else 0
                else:
                    self._serve()
        except KafkaException as error:
            # Perhaps the partitions have gone; the library tells so when it is asked.
            self._serve()
            raise Unavailable(said(error), PUBLIC) from None
        self._done |= wanted

    def _on_commit(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        self._reports.append((error, places))

    def _is_reported(self, wanted: Mapping[int, int]) -> bool:
        """Say whether these offsets are committed; raises `KafkaException` when they are not."""
        while self._reports:
            error, places = self._reports.pop()
            if {place.partition: place.offset for place in places} != wanted:
                continue  # of a commit that was given up
            for reason in (error, *(place.error for place in places)):
                if reason is not None:
                    raise KafkaException(reason)
            return True
        return False

    async def _measure_for_ever(self) -> None:
        while True:
            # A partition that is paused is not fetched, so the library does not know its end.
            partitions = sorted(self._assigned.copy())
            with contextlib.suppress(Unavailable):
                bounds = await self._topics.ends(self._epoch.topic, partitions)
                self._ends = {number: end for number, (_, end) in bounds.items()}
            await asyncio.sleep(LAG_SECONDS)

    async def _serve_while_busy(self) -> None:
        while True:
            await asyncio.sleep(SERVE_SECONDS)
            if self._polling is None and time.monotonic() > self._last_poll + SERVE_SECONDS:
                await self._call(self._serve)

    def _serve(self) -> None:
        """Attend to the group and take nothing; what comes all the same is kept."""
        new = set(self._assigned) - self._paused
        with contextlib.suppress(KafkaException):
            self._consumer.pause([TopicPartition(self._epoch.topic, number) for number in new])
            self._paused |= new
        self._next(0)

    def _resume(self, partitions: set[int]) -> None:
        if not partitions:
            return
        with contextlib.suppress(KafkaException):
            self._consumer.resume(
                [TopicPartition(self._epoch.topic, number) for number in partitions]
            )
        self._paused = self._paused - partitions


def _headers(message: Message) -> Headers:
    found: Any = message.headers()
    return tuple((name, value or b"") for name, value in found or ())
