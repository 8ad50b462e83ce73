"""Answers that are cached until they may no longer be true.

Every send and every read asks who is in the conversation and whether the session stands; nearly
always the answer was given before. What is changed through the wrappers of this package is dropped
before the change is acknowledged; what other processes change, when the outbox tells of it.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from cachetools import TTLCache

from chat4all.adapters.caching.following import OutboxFollower
from chat4all.ports.outbox import OutboxEntry, Subject

ENTRIES = 20_000

KEEP_SECONDS = 300.0
"""Loaded again after that in any case: a change whose transaction took effect so late that the
outbox was read past it was never acknowledged, but is made all the same."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Answers of `load`, each until it is dropped, or for `KEEP_SECONDS` at most.

    Entries of the outbox about `subject` drop the answers with their keys. While the outbox cannot
    be followed nothing is answered: `get` raises `Unavailable`.
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
        """Return what is cached, or else what `load` returns now."""
        self._require()
        try:
            return self._entries[key]
        except KeyError:
            pass
        before = self._version
        value = await self._load(key)
        # An answer that was under way while something changed may be of before the change.
        if before == self._version:
            self._entries[key] = value
        return value

    def drop(self, key: object) -> None:
        """Make the next `get` load again, and cache no answer that is under way."""
        self._version += 1
        self._entries.pop(key, None)

    def changed(self, entries: Sequence[OutboxEntry]) -> None:
        """Drop what these entries are about."""
        for entry in entries:
            if entry.subject is self._subject:
                self.drop(entry.key)

    def all_changed(self) -> None:
        """Drop everything."""
        self._version += 1
        self._entries.clear()
