"""Those who follow a live feed in this process, each behind a bounded buffer of its own."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from chat4all.domain.errors import Overloaded
from chat4all.ports import LiveEvent

BUFFER_MAX = 10_000
"""Events that one subscriber may be behind before it is told to start again."""


class Subscribers:
    """Hands what is announced to every subscriber; never waits for a slow one."""

    def __init__(self, buffer: int = BUFFER_MAX) -> None:
        self._buffer = buffer
        self._subscriptions: set[BufferedSubscription] = set()
        self._watchers: list[Callable[[str], None]] = []

    def __bool__(self) -> bool:
        """Say whether there are any: else no event needs to be decoded."""
        return bool(self._subscriptions)

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Let `watcher` be called with the key of whatever is announced from now on."""
        self._watchers.append(watcher)

    def tell(self, keys: Iterable[str]) -> None:
        """Tell the watchers that something was announced under these keys."""
        for watcher in self._watchers:
            for key in keys:
                watcher(key)

    def put(self, events: Sequence[LiveEvent]) -> None:
        """Hand events to every subscriber."""
        for subscription in self._subscriptions:
            subscription.put(events)

    def lose(self) -> None:
        """Tell every subscriber that events are missing from here on."""
        for subscription in self._subscriptions:
            subscription.lose()

    @asynccontextmanager
    async def subscribe(self) -> "AsyncIterator[BufferedSubscription]":
        """Receive everything that is put from now on."""
        subscription = BufferedSubscription(self._buffer)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)


class BufferedSubscription:
    """One subscriber's buffer."""

    def __init__(self, buffer: int) -> None:
        self._buffer = buffer
        self._events: deque[LiveEvent] = deque()
        self._ready = asyncio.Event()
        self._lost = False

    def put(self, events: Sequence[LiveEvent]) -> None:
        """Take events in, or note that they did not fit: then none that follow is of use."""
        if len(self._events) + len(events) > self._buffer:
            self._lost = True
        if not self._lost:
            self._events.extend(events)
        self._ready.set()

    def lose(self) -> None:
        """Note that events are missing from here on."""
        self._lost = True
        self._ready.set()

    async def next(self) -> Sequence[LiveEvent]:
        """Wait for events; see `ports.Subscription`."""
        await self._ready.wait()
        if self._events:
            events = tuple(self._events)
            self._events.clear()
            if not self._lost:
                self._ready.clear()
            return events
        raise Overloaded("events are missing from here on: subscribe again")
