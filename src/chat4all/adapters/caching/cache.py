"""Values that are cached until they may be stale.

Every send and every read needs the conversation's members and the session; nearly always they were
loaded before. A change through the wrappers of this package drops cached values before it is
acknowledged; a change by another process does when the outbox has it.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar, cast

from cachetools import TTLCache

from chat4all.adapters.caching.following import OutboxFollower
from chat4all.ports.outbox import OutboxEntry, Subject

ENTRIES = 20_000

KEEP_SECONDS = 300.0
"""Values are loaded again after that in any case: a transaction that was never acknowledged may
take effect so late that the outbox was read past it."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_UNKNOWN = object()


class _Kept(Generic[V]):
    """Values by key, each until it is dropped, or for `KEEP_SECONDS` at most.

    Entries of the outbox about `subject` drop the values of their keys.
    """

    def __init__(self, subject: Subject, follower: OutboxFollower) -> None:
        self._subject = subject
        self._require = follower.require
        self._entries: TTLCache[object, V] = TTLCache(ENTRIES, KEEP_SECONDS)
        self._version = 0
        follower.add_listener(self)

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


class Cache(_Kept[V], Generic[K, V]):
    """Results of `load`. While the outbox cannot be followed `get` raises `Unavailable`."""

    def __init__(
        self, load: Callable[[K], Awaitable[V]], subject: Subject, follower: OutboxFollower
    ) -> None:
        super().__init__(subject, follower)
        self._load = load

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

    async def get_each(
        self, keys: Sequence[K], load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]
    ) -> dict[K, V]:
        """Return the values of many keys; what is not cached is loaded at once, by `load`.

        What that leaves out is left out here, and not cached.
        """
        self._require()
        found = {key: self._entries.get(key, _UNKNOWN) for key in keys}
        unknown = [key for key, value in found.items() if value is _UNKNOWN]
        if unknown:
            before = self._version
            loaded = dict(await load(unknown))
            if before == self._version:  # as in `get`
                for key, value in loaded.items():
                    # One that was loaded alone meanwhile stays the identical one.
                    loaded[key] = self._entries.setdefault(key, value)
            found |= loaded
        return {key: cast("V", value) for key, value in found.items() if value is not _UNKNOWN}


class ListCache(_Kept[V | None], Generic[K, V]):
    """Results of `load`, which is asked for many keys at once and leaves out those without a value.

    While the outbox cannot be followed `get` raises `Unavailable`.
    """

    def __init__(
        self,
        load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        subject: Subject,
        follower: OutboxFollower,
    ) -> None:
        super().__init__(subject, follower)
        self._load = load

    async def get(self, keys: Iterable[K]) -> dict[K, V]:
        """Return the values of those keys that have one; what is not cached is loaded at once."""
        self._require()
        found = {key: self._entries.get(key, _UNKNOWN) for key in keys}
        unknown = [key for key, value in found.items() if value is _UNKNOWN]
        if unknown:
            before = self._version
            loaded = await self._load(unknown)
            for key in unknown:
                found[key] = loaded.get(key)
                if before == self._version:  # as in `Cache.get`
                    self._entries[key] = loaded.get(key)
        return {key: cast("V", value) for key, value in found.items() if value is not None}
