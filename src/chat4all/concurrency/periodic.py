"""Work in the background that survives any error, and shows when it fails again and again.

The one place for loops that run as long as a process: `tests/unit/test_house.py` finds others.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from chat4all.concurrency.cancelling import inner_cancellation_fails
from chat4all.concurrency.outages import OutageLog
from chat4all.domain.errors import Degraded, Unavailable

REST_SHARE = 0.2
"""The rest after a run is at least this share of the period, however long the run took."""

REST_MOST_SECONDS = 60.0
"""The longest rest after a run that failed."""

FAILURES_SHOWN = 3
FAILING_SECONDS = 10.0
"""Work that has failed so often in a row, and for so long, is reported by `ping_background`."""

HANGING_SECONDS = 300.0
"""A run that takes so long is reported too; every wait in it has a deadline."""

UNEXPECTED = "an unexpected error, see the log of this process"

_log = logging.getLogger(__name__)

_jobs: "set[_Job]" = set()
"""All that are running in this process. None is left out of its readiness by being forgotten."""


@asynccontextmanager
async def periodically(
    name: str,
    work: Callable[[], Awaitable[object]],
    seconds: float,
    outages: OutageLog | None = None,
) -> AsyncIterator[None]:
    """Run `work` at once and then every so many seconds, for as long as the context lasts.

    An error ends the current run only; `outages` logs it, each cause once until a run succeeds
    again. Leaving the context cancels the current run and waits for its end.
    """
    async with _running(_Job(name, work, seconds, outages, is_endless=False)):
        yield


@asynccontextmanager
async def for_ever(
    name: str,
    work: Callable[[], Awaitable[object]],
    rest_seconds: float,
    outages: OutageLog | None = None,
) -> AsyncIterator[None]:
    """Run `work`, which goes on until it fails, and begin it anew after a rest; see `periodically`.

    It tells `outages` itself when it has succeeded.
    """
    async with _running(_Job(name, work, rest_seconds, outages, is_endless=True)):
        yield


@asynccontextmanager
async def _running(job: "_Job") -> AsyncIterator[None]:
    task = asyncio.create_task(job.repeat(), name=job.name)
    job.task = task
    _jobs.add(job)
    task.add_done_callback(job.note_end)
    try:
        yield
    finally:
        _jobs.discard(job)
        task.cancel()
        await asyncio.wait({task})


async def ping_background() -> None:
    """Return while all background work of this process does what it should.

    Raises `Degraded` for what fails again and again or hangs, `Unavailable` for what has ended:
    then only a restart of the process helps.
    """
    now = time.monotonic()
    ended, troubles = list[str](), list[str]()
    for job in sorted(_jobs, key=lambda job: job.name):
        if job.task is not None and job.task.done():
            ended.append(f"{job.name} has ended: restart this process, and see its log")
        elif (trouble := job.trouble(now)) is not None:
            troubles.append(trouble)
    if ended:
        raise Unavailable("; ".join(ended + troubles))
    if troubles:
        raise Degraded("; ".join(troubles))


class _Job:
    """Work that is run again and again, and how it goes."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        seconds: float,
        outages: OutageLog | None,
        *,
        is_endless: bool,
    ) -> None:
        self.name = name
        self.task: asyncio.Task[None] | None = None
        self._work = work
        self._seconds = seconds
        self._is_endless = is_endless
        self._outages = outages or OutageLog(
            _log, "periodic work fails", "periodic work goes on", work=name
        )
        self._failures = 0
        """In a row."""
        self._failing_since = 0.0
        self._cause = ""
        self._began: float | None = None
        """When the present run began; None between two."""

    async def repeat(self) -> None:
        while True:
            self._began = began = time.monotonic()
            try:
                with inner_cancellation_fails():
                    await self._work()
            except Exception as error:
                self._failed(began, error)
            else:
                self._failures = 0
                self._outages.succeeded()
            self._began = None
            await asyncio.sleep(self._rest(time.monotonic() - began))

    def trouble(self, now: float) -> str | None:
        """Return what is wrong, in a sentence."""
        runs_for = 0.0 if self._began is None else now - self._began
        if self._is_endless:
            if runs_for >= FAILING_SECONDS:
                return None
        elif runs_for >= HANGING_SECONDS:
            return f"{self.name} has not come to an end for {runs_for:.0f} s"
        if self._failures >= FAILURES_SHOWN and now - self._failing_since >= FAILING_SECONDS:
            return f"{self.name} has failed {self._failures} times in a row: {self._cause}"
        return None

    def note_end(self, task: asyncio.Task[None]) -> None:
        """Log an end that nobody asked for: no error that is an `Exception` brings it about."""
        if not task.cancelled():
            _log.critical(
                "background work has ended", extra={"work": self.name}, exc_info=task.exception()
            )

    def _failed(self, began: float, error: Exception) -> None:
        now = time.monotonic()
        if self._is_endless and now - began >= FAILING_SECONDS:
            self._failures = 0  # it has worked in between
        if self._failures == 0:
            self._failing_since = now
        self._failures += 1
        self._cause = str(error) if isinstance(error, Unavailable) else UNEXPECTED
        self._outages.failed(error)

    def _rest(self, took: float) -> float:
        rest = self._seconds if self._is_endless else rest_after(took, self._seconds)
        return min(rest, REST_MOST_SECONDS) if self._failures else rest


def rest_after(took: float, period: float) -> float:
    """Return how long to rest after a run, so that runs begin a period apart; all in seconds."""
    return max(REST_SHARE * period, period - took)
