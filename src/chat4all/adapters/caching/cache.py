"""Values that are cached until they may be stale.

Every send and every read needs the conversation's members and the session; nearly always they were
loaded before. A change through the wrappers of this package drops cached values before it is
acknowledged; a change by another process does when the outbox has it.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from cachetools import TTLCache

from chat4all.adapters.caching.following import OutboxFollower
from chat4all.ports.outbox import OutboxEntry, Subject

ENTRIES = 20_000

KEEP_SECONDS = 300.0
"""Values are loaded again after that in any case: a transaction that was never acknowledged may
take effect so late that the outbox was read past it."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Results of `load`, each until it is dropped, or for `KEEP_SECONDS` at most.

    Entries of the outbox about `subject` drop the values of their keys. While the outbox cannot be
    followed `get` raises `Unavailable`.
    """

    def __init__(
        self, load: Callable[[K], Awaitable[V]], subject: Subject, follower: OutboxFollower
    ) -> None:
        self._load = load
        self._subject = subject
        self._require = follower.require
        self._entries: TTLCache[object, V] = TTLCache(ENTRIES, KEEP_SECONDS)
        self._version = 0
        follower.add_listener(self)

    async def get(self, key: K) -> V:
        """Return the cached value, or load it."""
        self._require()
        try:
            return self._entries[key]
        except KeyError:
            pass
        before = self._version
        value = await self._load(key)
        # A value that was being loaded during a change may be from before it.
        if before == self._version:
            self._entries[key] = value
        return value

    def drop(self, key: object) -> None:
        """Make the next `get` load again, and do not cache values that are being loaded."""
        self._version += 1
        self._entries.pop(key, None)

    def changed(self, entries: Sequence[OutboxEntry]) -> None:
        """Drop the values that these entries are about."""
        for entry in entries:
            if entry.subject is self._subject:
                self.drop(entry.key)

    def all_changed(self) -> None:
        """Drop everything."""
        self._version += 1
        self._entries.clear()
