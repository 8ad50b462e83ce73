"""The metrics of scanning files."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from chat4all.adapters.interposing import Call, interposed
from chat4all.domain.errors import TooLarge, Unavailable
from chat4all.ports.scanning import Scanner

SCAN_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the buckets: clamd itself gives a file up after two minutes by default."""


class ScanMetrics:
    """Counts scans by what came of them, and times those that brought a verdict."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "chat4all_files_scan_seconds",
            "Time from the beginning of a scan to its verdict.",
            buckets=SCAN_SECONDS,
            registry=registry,
        )
        outcomes = Counter(
            "chat4all_files_scans",
            "Scans of files, by what came of them.",
            ["outcome"],
            registry=registry,
        )
        failures = Counter(
            "chat4all_files_scanner_failures",
            "Times that the scanner of files did not do what it was asked for.",
            ["operation"],
            registry=registry,
        )
        # Created here, so that each is exported as 0 before its first event.
        self._clean, self._found, self._too_large, self._failed = map(
            outcomes.labels, ("clean", "found", "too_large", "failed")
        )
        self._scan_failures, self._ping_failures = map(failures.labels, ("scan", "ping"))
        self.unscanned = Gauge(
            "chat4all_files_unscanned",
            "Files that are held back until they have been scanned.",
            registry=registry,
        )

    def scanner(self, scanner: Scanner) -> Scanner:
        """Return a scanner whose scans, and failures, are counted."""
        return interposed(scanner, {"scan": self._scan, "ping": self._ping})

    def _scan(self, call: Call) -> Callable[[AsyncIterator[bytes]], Awaitable[str | None]]:
        async def counted(content: AsyncIterator[bytes]) -> str | None:
            started, reading = time.perf_counter(), _Reading(content)
            try:
                found: str | None = await call(reading)
            except TooLarge:
                self._too_large.inc()
                raise
            except Exception:
                self._failed.inc()
                if not reading.has_failed:
                    self._scan_failures.inc()
                raise
            self._seconds.observe(time.perf_counter() - started)
            (self._clean if found is None else self._found).inc()
            return found

        return counted

    def _ping(self, call: Call) -> Call:
        async def counted() -> None:
            try:
                await call()
            except Unavailable:
                self._ping_failures.inc()
                raise

        return counted


class _Reading:
    """A file's bytes as they are read for a scan: an error of theirs is the store's."""

    def __init__(self, content: AsyncIterator[bytes]) -> None:
        self._content = content
        self.has_failed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._content)
        except StopAsyncIteration:
            raise
        except Exception:
            self.has_failed = True
            raise
