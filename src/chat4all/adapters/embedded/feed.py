"""The live feed inside one process."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chat4all.adapters.embedded.link import decode_events
from chat4all.domain.errors import Overloaded
from chat4all.ports import LiveEvent

BUFFER_MAX = 10_000
"""Events that one subscriber may be behind before it is told to start again."""


class EmbeddedFeed:
    """Hands every announcement to every subscriber, each through a bounded buffer of its own."""

    def __init__(self, buffer: int = BUFFER_MAX) -> None:
        self._buffer = buffer
        self._subscriptions: set[EmbeddedSubscription] = set()

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """Hand the events on; see `ports.LiveFeed`."""
        for subscription in self._subscriptions:
            subscription.put(events)

    def republish(self, encoded: bytes) -> None:
        """Hand on what another process announced; it is not even decoded when nobody listens."""
        if self._subscriptions:
            events = decode_events(encoded)
            for subscription in self._subscriptions:
                subscription.put(events)

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
