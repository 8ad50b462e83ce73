"""The live feed inside one process."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from chat4all.adapters.embedded.link import Announced
from chat4all.domain.errors import Overloaded
from chat4all.ports import LiveEvent

BUFFER_MAX = 10_000
"""Events that one subscriber may be behind before it is told to start again."""


class EmbeddedFeed:
    """Hands every announcement to every subscriber, each through a bounded buffer of its own."""

    def __init__(self, buffer: int = BUFFER_MAX) -> None:
        self._buffer = buffer
        self._subscriptions: set[EmbeddedSubscription] = set()
        self._watchers: list[Callable[[str], None]] = []

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Let `watcher` be called with the key of whatever is announced from now on."""
        self._watchers.append(watcher)

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """Hand the events on; see `ports.LiveFeed`."""
        self._tell({event.key for event in events})
        for subscription in self._subscriptions:
            subscription.put(events)

    def republish(self, announced: Announced) -> None:
        """Hand on what another process announced; it is not even decoded when nobody listens."""
        self._tell(announced.keys)
        if self._subscriptions:
            events = announced.decode()
            for subscription in self._subscriptions:
                subscription.put(events)

    def _tell(self, keys: Iterable[str]) -> None:
        for watcher in self._watchers:
            for key in keys:
                watcher(key)

    @asynccontextmanager
    async def subscribe(self) -> "AsyncIterator[EmbeddedSubscription]":
        """Receive everything that is announced from now on."""
        subscription = EmbeddedSubscription(self._buffer)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)


class EmbeddedSubscription:
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

    async def next(self) -> Sequence[LiveEvent]:
        """Wait for events; see `ports.Subscription`."""
        await self._ready.wait()
        if self._events:
            events = tuple(self._events)
            self._events.clear()
            if not self._lost:
                self._ready.clear()
            return events
        raise Overloaded("this subscriber was too slow; events are missing from here on")
