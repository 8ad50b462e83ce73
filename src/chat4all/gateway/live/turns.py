"""Long loops that leave the event loop to others."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

SLICE = 1_000
"""Items of one turn of the event loop: about a millisecond."""


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items, and let others run after every thousand of them.

    What the items are taken from must not change meanwhile.
    """
    for count, item in enumerate(items, 1):
        yield item
        if count % SLICE == 0:
            await asyncio.sleep(0)
