"""The one queue between a connection and the loop over its events."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """A bounded queue that can end with an error, which comes after all that was put before.

    There is room as long as what waits weighs less than `most`.
    """

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._weight = 0
        self._items: deque[tuple[T, int]] = deque()
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    async def put(self, item: T, weight: int = 1) -> None:
        """Add an item as soon as there is room."""
        while self._weight >= self._most:
            await self._change()
        self._items.append((item, weight))
        self._weight += weight
        self._changed.set()

    async def get(self) -> T:
        """Return the next item. It stays where it is if the caller is cancelled meanwhile."""
        while not self._items:
            if self._error is not None:
                raise self._error
            await self._change()
        item, weight = self._items.popleft()
        self._weight -= weight
        self._changed.set()
        return item

    async def drained(self) -> None:
        """Return once nothing waits any more."""
        while self._items:
            await self._change()

    def end(self, error: Exception) -> None:
        """Let `get` raise this once all was taken."""
        self._error = self._error or error
        self._changed.set()

    def drop(self) -> None:
        """Forget what waits."""
        self._items.clear()
        self._weight = 0

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
