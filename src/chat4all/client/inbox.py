"""The one queue between a connection and the loop over its events."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """A bounded queue that can end with an error, which comes after all that was put before."""

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._items: deque[T] = deque()
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    async def put(self, item: T) -> None:
        """Add an item as soon as there is room."""
        while len(self._items) >= self._most:
            await self._change()
        self._items.append(item)
        self._changed.set()

    async def get(self) -> T:
        """Return the next item. It stays where it is if the caller is cancelled meanwhile."""
        while not self._items:
            if self._error is not None:
                raise self._error
            await self._change()
        item = self._items.popleft()
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

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
