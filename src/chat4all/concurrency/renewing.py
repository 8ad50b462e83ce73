"""Work that holds something, which has to be renewed until it has ended."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from chat4all.domain.errors import Unavailable

T = TypeVar("T")


async def renewed(
    work: "asyncio.Task[T]", renew: Callable[[], Awaitable[None]], seconds: float
) -> T:
    """Return the result of `work`, and await `renew` every so many seconds until then.

    What holds may last until a `renew` that was `Unavailable` succeeds. Any other error of it, and
    the end of the caller, cancel the work.
    """
    try:
        while not (await asyncio.wait({work}, timeout=seconds))[0]:
            with suppress(Unavailable):
                await renew()
        return work.result()
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
