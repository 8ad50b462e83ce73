"""A router's metrics, in a registry of their own because it may be another process."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

from chat4all.adapters.interposing import Call, interposed
from chat4all.adapters.prometheus.registry import (
    BATCH_RECORDS,
    REQUEST_SECONDS,
    new_registry,
    text_of,
)
from chat4all.adapters.prometheus.timing import Timings, counting
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import LogPosition
from chat4all.ports.dead_letters import DeadLetterSink
from chat4all.ports.feed import Announcements
from chat4all.ports.log import LogConsumer, Poll
from chat4all.ports.store import RoutedStore

S = TypeVar("S", bound=DeadLetterSink)

ROUTING = (
    "heads",
    "find_ids",
    "at_positions",
    "change_heads",
    "find_change_ids",
    "changes_at",
    "targets",
    "write",
)
"""The methods of a store that a router calls."""


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
        self._stopped = Gauge(
            "chat4all_router_partition_stopped",
            "1 for each partition of this router that has stopped, with the cause.",
            ["partition", "cause"],
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
            "Messages, changes and markers that were announced.",
            registry=self.registry,
        )
        self._store = Timings(
            self.registry, "chat4all_router_store", "a step of the store", ROUTING
        )

    def consumer(self, consumer: LogConsumer) -> LogConsumer:
        """Return the consumer, its batches timed from poll to commit."""
        started = 0.0

        def poll(call: Call) -> Call:
            async def polled(limit: int) -> Poll:
                nonlocal started
                found: Poll = await call(limit)
                self._stopped.clear()
                for partition, cause in found.stopped.items():
                    self._stopped.labels(partition, cause).set(1)
                if found.records:
                    self._records.observe(len(found.records))
                    started = time.perf_counter()
                return found

            return polled

        def observe(_through: Sequence[LogPosition]) -> None:
            self._seconds.observe(time.perf_counter() - started)

        return interposed(consumer, {"poll": poll, "commit": counting(observe)})

    def store(self, store: RoutedStore) -> RoutedStore:
        """Return the store, timed."""
        return self._store.timed(store)

    def dead_letters(self, letters: S) -> S:
        """Return the dead letters, counted once they are kept."""
        count = counting(lambda added: self._dead_letters.inc(len(added)))
        return interposed(letters, {"add": count})

    def feed(self, feed: Announcements) -> Announcements:
        """Return the feed, its announcements counted once they are sent."""
        count = counting(lambda events: self._announced.inc(len(events)))
        return interposed(feed, {"announce": count})

    async def text(self) -> bytes:
        """Return the metrics in Prometheus' text format; without the lag while it is unknown."""
        self._lag.clear()
        try:
            for partition, records in (await self._ask_for_lag()).items():
                self._lag.labels(partition).set(records)
        except Unavailable:
            pass
        return text_of(self.registry)
