"""Answers that are kept until somebody says that they may no longer hold."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from cachetools import Cache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Answers of `load`, each until it is forgotten; `known` bounds how many, and how long."""

    def __init__(self, load: Callable[[K], Awaitable[V]], known: Cache[K, V]) -> None:
        self._load = load
        self._known = known
        self._changes = 0

    async def get(self, key: K) -> V:
        """Return what is known, or else what `load` says now."""
        try:
            return self._known[key]
        except KeyError:
            pass
        before = self._changes
        value = await self._load(key)
        # An answer that was on its way while something changed may be of before the change.
        if before == self._changes:
            self._known[key] = value
        return value

    def forget(self, key: K) -> None:
        """Make the next `get` ask again, and no answer under way be kept."""
        self._changes += 1
        self._known.pop(key, None)

    def forget_all(self) -> None:
        """Make every next `get` ask again, and no answer under way be kept."""
        self._changes += 1
        self._known.clear()
