"""Retries of temporary failures: growing delays with jitter, within tries or a deadline."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import TypeVar

from chat4all.domain.errors import Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each further try, in seconds.

    The delay doubles from `first` up to `most`. `jitter` is the share of it that is random, so
    that many that fail together do not retry together: 0.5 waits for between half the delay and
    all of it, 1.0 for anything up to it. `tries` counts the first one; None is no limit.
    """

    first: float
    most: float
    tries: int | None = None
    jitter: float = 0.5

    def delays(self) -> Iterator[float]:
        """Yield the wait after each try that another one may follow."""
        delay = min(self.first, self.most)
        for _ in repeat(None) if self.tries is None else repeat(None, self.tries - 1):
            yield delay * random.uniform(1 - self.jitter, 1)  # noqa: S311 - jitter
            delay = min(2 * delay, self.most)


def is_unavailable(error: Exception) -> bool:
    """Say whether an error is temporary: a part of ours does not answer."""
    return isinstance(error, Unavailable)


async def retry(
    step: Callable[[], Awaitable[T]],
    backoff: Backoff,
    *,
    is_temporary: Callable[[Exception], bool] = is_unavailable,
    seconds: float | None = None,
    on_failure: Callable[[Exception], object] | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """Return the result of the first try of `step` that succeeds.

    Raises the error of a try that is not temporary, of the last one that `backoff` allows, or of
    the first one that ends later than `seconds` after the beginning. `on_failure` is called before
    each wait. What `sleep` raises ends the waiting.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    delays = backoff.delays()
    while True:
        try:
            return await step()
        except Exception as error:
            delay = next(delays, None)
            is_late = deadline is not None and time.monotonic() > deadline
            if delay is None or is_late or not is_temporary(error):
                raise
            if on_failure is not None:
                on_failure(error)
        await sleep(delay)
