"""Work that is done again and again, and survives any error."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from chat4all.domain.errors import Unavailable

_log = logging.getLogger(__name__)


@asynccontextmanager
async def periodically(
    name: str, work: Callable[[], Awaitable[object]], seconds: float
) -> AsyncIterator[None]:
    """Do `work` at once and then every so many seconds, for as long as the context lasts.

    An error ends no more than the work in hand. Each cause is logged once until the work succeeds
    again; only what is not `Unavailable` is logged with its traceback.
    """
    task = asyncio.create_task(_repeat(name, work, seconds), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _repeat(name: str, work: Callable[[], Awaitable[object]], seconds: float) -> None:
    told: set[str] = set()
    while True:
        try:
            await work()
        except Exception as error:
            cause = str(error) if isinstance(error, Unavailable) else repr(error)
            if cause not in told:
                told.add(cause)
                expected = isinstance(error, Unavailable)
                _log.log(
                    logging.WARNING if expected else logging.ERROR,
                    "periodic work fails",
                    extra={"work": name, "cause": cause},
                    exc_info=None if expected else error,
                )
        else:
            if told:
                _log.info("periodic work goes on", extra={"work": name})
            told.clear()
        await asyncio.sleep(seconds)
