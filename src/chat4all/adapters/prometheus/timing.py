"""Timing the calls of a port."""

import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

from chat4all.adapters.prometheus.registry import REQUEST_SECONDS
from chat4all.domain.errors import Unavailable

T = TypeVar("T")


class Timings:
    """How long each operation of a port took, and how often it failed, by `operation`."""

    def __init__(
        self, registry: CollectorRegistry, name: str, what: str, operations: Sequence[str]
    ) -> None:
        seconds = Histogram(
            f"{name}_seconds",
            f"Time until {what} was done.",
            ["operation"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        failures = Counter(
            f"{name}_failures",
            f"Times that {what} could not be done.",
            ["operation"],
            registry=registry,
        )
        # Made here, so that each is there with 0 before it first happens.
        self._seconds = {name: seconds.labels(name) for name in operations}
        self._failures = {name: failures.labels(name) for name in operations}

    async def time(self, operation: str, call: Awaitable[T]) -> T:
        """Carry out the call and count it."""
        started = time.perf_counter()
        try:
            result = await call
        except Unavailable:
            self._failures[operation].inc()
            raise
        self._seconds[operation].observe(time.perf_counter() - started)
        return result
