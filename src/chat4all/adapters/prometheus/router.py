"""What a router counts: it may run in another process, so it has a registry of its own."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from prometheus_client import Counter, Gauge, Histogram

from chat4all.adapters.prometheus.registry import (
    BATCH_RECORDS,
    REQUEST_SECONDS,
    new_registry,
    text_of,
)
from chat4all.adapters.prometheus.store import ROUTING, MeasuredStore
from chat4all.adapters.prometheus.timing import Timings
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import BEFORE_ALL, LogPosition
from chat4all.domain.records import DeadLetter
from chat4all.ports import (
    Announcements,
    DeadLetters,
    LiveEvent,
    LogConsumer,
    MessageStore,
    Poll,
)


class RouterMetrics:
    """The metrics of one router. `lag` returns how many records wait in each partition."""

    def __init__(self, version: str, lag: Callable[[], Awaitable[Mapping[int, int]]]) -> None:
        self.registry = new_registry("chat4all_router", version)
        self._ask_for_lag = lag
        self._lag = Gauge(
            "chat4all_router_lag_records",
            "Records in the log that are not stored yet.",
            ["partition"],
            registry=self.registry,
        )
        self._records = Histogram(
            "chat4all_router_batch_records",
            "Records that were routed together.",
            buckets=BATCH_RECORDS,
            registry=self.registry,
        )
        self._seconds = Histogram(
            "chat4all_router_batch_seconds",
            "Time from reading a batch to committing it, all retries included.",
            buckets=REQUEST_SECONDS,
            registry=self.registry,
        )
        self._dead_letters = Counter(
            "chat4all_router_dead_letters",
            "Records that could not be processed and were put aside.",
            registry=self.registry,
        )
        self._announced = Counter(
            "chat4all_router_announcements",
            "Messages and markers that were announced.",
            registry=self.registry,
        )
        self._store = Timings(
            self.registry, "chat4all_router_store", "a step of the store", ROUTING
        )

    def consumer(self, consumer: LogConsumer) -> LogConsumer:
        """Return the consumer, its batches measured."""
        return _MeasuredConsumer(consumer, self._records, self._seconds)

    def store(self, store: MessageStore) -> MessageStore:
        """Return the store, timed."""
        return MeasuredStore(store, self._store)

    def dead_letters(self, letters: DeadLetters) -> DeadLetters:
        """Return the dead letters, counted."""
        return _CountedDeadLetters(letters, self._dead_letters)

    def feed(self, feed: Announcements) -> Announcements:
        """Return the feed, its announcements counted."""
        return _CountedFeed(feed, self._announced)

    async def text(self) -> bytes:
        """Return the metrics in Prometheus' text format; without the lag while nobody knows it."""
        self._lag.clear()
        try:
            for partition, records in (await self._ask_for_lag()).items():
                self._lag.labels(partition).set(records)
        except Unavailable:
            pass
        return text_of(self.registry)


class _MeasuredConsumer:
    """A consumer whose batches are measured from poll to commit."""

    def __init__(self, consumer: LogConsumer, records: Histogram, seconds: Histogram) -> None:
        self._consumer = consumer
        self._records = records
        self._seconds = seconds
        self._started = 0.0

    async def poll(self, limit: int) -> Poll:
        """See `ports.LogConsumer`."""
        poll = await self._consumer.poll(limit)
        if poll.records:
            self._records.observe(len(poll.records))
            self._started = time.perf_counter()
        return poll

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """See `ports.LogConsumer`."""
        await self._consumer.commit(through)
        self._seconds.observe(time.perf_counter() - self._started)


class _CountedDeadLetters:
    """Dead letters that are counted once they are kept."""

    def __init__(self, letters: DeadLetters, count: Counter) -> None:
        self._letters = letters
        self._count = count

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """See `ports.DeadLetters`."""
        await self._letters.add(letters)
        self._count.inc(len(letters))

    async def get(self, position: LogPosition) -> DeadLetter | None:
        """See `ports.DeadLetters`."""
        return await self._letters.get(position)

    async def all(self, limit: int, after: LogPosition = BEFORE_ALL) -> Sequence[DeadLetter]:
        """See `ports.DeadLetters`."""
        return await self._letters.all(limit, after)

    async def replayed(self, position: LogPosition, by: LogPosition) -> None:
        """See `ports.DeadLetters`."""
        await self._letters.replayed(position, by)


class _CountedFeed:
    """A feed whose announcements are counted."""

    def __init__(self, feed: Announcements, count: Counter) -> None:
        self._feed = feed
        self._count = count

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """See `ports.Announcements`."""
        await self._feed.announce(events)
        self._count.inc(len(events))
