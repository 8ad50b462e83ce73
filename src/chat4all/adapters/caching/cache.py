"""Values that are cached until they may be stale.

Every send and every read needs the conversation's members and the session; nearly always they were
loaded before. A change through the wrappers of this package drops cached values before it is
acknowledged; a change by another process does when the outbox has it.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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


class _Loads:
    """Loads of one key that are under way and began after its last change."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class _Kept(Generic[V]):
    """Values by key, each until it is dropped, or for `KEEP_SECONDS` at most.

    Entries of the outbox about `subject` drop the values of their keys.
    """

    def __init__(self, subject: Subject, follower: OutboxFollower) -> None:
        self._subject = subject
        self._require = follower.require
        self._entries: TTLCache[object, V] = TTLCache(ENTRIES, KEEP_SECONDS)
        self._loading: dict[object, _Loads] = {}
        follower.add_listener(self)

    def drop(self, key: object) -> None:
        """Make the next `get` load again, and do not cache what is being loaded of this key."""
        self._loading.pop(key, None)
        self._entries.pop(key, None)

    def changed(self, entries: Sequence[OutboxEntry]) -> None:
        """Drop the values that these entries are about."""
        for entry in entries:
            if entry.subject is self._subject:
                self.drop(entry.key)

    def all_changed(self) -> None:
        """Drop everything."""
        self._loading.clear()
        self._entries.clear()

    @contextmanager
    def _load_of(self, keys: Iterable[K]) -> Iterator[dict[K, _Loads]]:
        """Note that these keys are loaded in this context; yields what `_keep` wants of each."""
        loads = {key: self._loading.setdefault(key, _Loads()) for key in keys}
        for of_key in loads.values():
            of_key.count += 1
        try:
            yield loads
        finally:
            for key, of_key in loads.items():
                of_key.count -= 1
                if not of_key.count and self._loading.get(key) is of_key:
                    del self._loading[key]

    def _keep(self, key: object, value: V, loads: _Loads) -> V:
        """Keep a value that was loaded, and return the one to use.

        One whose key has changed since its load began may be from before that: it is not kept.
        Where another load has kept one meanwhile, that stays the identical one.
        """
        if self._loading.get(key) is loads:
            return self._entries.setdefault(key, value)
        return value


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
        with self._load_of([key]) as loads:
            return self._keep(key, await self._load(key), loads[key])

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
            with self._load_of(unknown) as loads:
                loaded = await load(unknown)
                for key in loads.keys() & loaded.keys():
                    found[key] = self._keep(key, loaded[key], loads[key])
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
            with self._load_of(unknown) as loads:
                loaded = await self._load(unknown)
                for key in unknown:
                    found[key] = self._keep(key, loaded.get(key), loads[key])
        return {key: cast("V", value) for key, value in found.items() if value is not None}
