"""Periodic work that survives any error."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from chat4all.concurrency.outages import OutageLog

REST_SHARE = 0.2
"""The rest after a run is at least this share of the period, however long the run took."""

_log = logging.getLogger(__name__)


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
    outages = outages or OutageLog(_log, "periodic work fails", "periodic work goes on", work=name)
    task = asyncio.create_task(_repeat(work, seconds, outages), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _repeat(work: Callable[[], Awaitable[object]], seconds: float, log: OutageLog) -> None:
    while True:
        began = time.monotonic()
        try:
            await work()
        except Exception as error:
            log.failed(error)
        else:
            log.succeeded()
        await asyncio.sleep(rest_after(time.monotonic() - began, seconds))


def rest_after(took: float, period: float) -> float:
    """Return how long to rest after a run, so that runs begin a period apart; all in seconds."""
    return max(REST_SHARE * period, period - took)
