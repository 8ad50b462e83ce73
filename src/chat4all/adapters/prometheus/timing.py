"""Timing the calls of a port."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

from chat4all.adapters.interposing import Around, Call, interposed
from chat4all.adapters.prometheus.registry import REQUEST_SECONDS
from chat4all.domain.errors import Unavailable

T = TypeVar("T")


class Timings:
    """Durations and failures of a port's operations, by `operation`.

    `streamed` are operations that yield their result in pieces: the time is until the first one.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        what: str,
        operations: Sequence[str],
        streamed: Sequence[str] = (),
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
        # Created here, so that each is exported as 0 before its first event.
        self._around = {
            operation: _timed(seconds.labels(operation), failures.labels(operation))
            for operation in operations
        } | {
            operation: _timed_stream(seconds.labels(operation), failures.labels(operation))
            for operation in streamed
        }

    def timed(self, port: T, operations: Iterable[str] | None = None) -> T:
        """Return the port, its operations timed: all of them, or those that are named.

        Raises `AttributeError` when it has not all of them.
        """
        names = self._around if operations is None else operations
        return interposed(port, {name: self._around[name] for name in names})


def _timed(seconds: Histogram, failures: Counter) -> Around:
    def around(call: Call) -> Call:
        async def timed(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            called = call(*arguments, **options)
            del arguments, options  # what is given away is in memory no longer than it is needed
            try:
                result = await called
            except Unavailable:
                failures.inc()
                raise
            seconds.observe(time.perf_counter() - started)
            return result

        return timed

    return around


def _timed_stream(seconds: Histogram, failures: Counter) -> Around:
    def around(call: Callable[..., Any]) -> Any:
        async def timed(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
            started: float | None = time.perf_counter()
            try:
                async with aclosing(call(*arguments, **options)) as pieces:
                    async for piece in pieces:
                        if started is not None:
                            seconds.observe(time.perf_counter() - started)
                            started = None
                        yield piece
            except Unavailable:
                failures.inc()
                raise

        return timed

    return around


def counting(count: Callable[..., None]) -> Around:
    """Call `count` with a call's arguments once it has succeeded."""

    def around(call: Call) -> Call:
        async def counted(*arguments: Any, **options: Any) -> Any:
            result = await call(*arguments, **options)
            count(*arguments, **options)
            return result

        return counted

    return around
