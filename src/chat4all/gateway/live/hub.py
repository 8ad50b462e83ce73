"""The live feed's one listener in a gateway: it ends cached versions and serves followers."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chat4all.domain.errors import Overloaded
from chat4all.domain.events import LiveEvent
from chat4all.ports.feed import Decode
from chat4all.usecases.versions import ConversationVersions
from chat4all.wire.events import MalformedEvent

BUFFER_MAX = 10_000
"""Events that may wait for one follower; with more it must start again."""

_log = logging.getLogger(__name__)


class Hub:
    """Hands announcements to every follower; never waits for a slow one."""

    def __init__(self, versions: ConversationVersions, buffer: int = BUFFER_MAX) -> None:
        self._versions = versions
        self._buffer = buffer
        self._followers: set[Follower] = set()

    def announced(self, key: str, decode: Decode) -> None:
        """Handle an announcement; without followers it is not decoded. See `FeedListener`."""
        self._versions.supersede(key)
        if not self._followers:
            return
        try:
            events = decode()
        except MalformedEvent as error:
            # Its events are lost: followers must read the store.
            _log.error("an announcement cannot be read", extra={"cause": str(error)})
            self._lose()
        else:
            for follower in self._followers:
                follower.put(events)

    def lost(self) -> None:
        """Handle missing announcements; see `FeedListener`."""
        self._versions.supersede_all()
        self._lose()

    def alive(self, seconds_ago: float = 0.0) -> None:
        """Keep cached pages usable; see `FeedListener`."""
        self._versions.heard(seconds_ago)

    @asynccontextmanager
    async def follow(self) -> "AsyncIterator[Follower]":
        """Follow every announcement from now on."""
        follower = Follower(self._buffer)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    def _lose(self) -> None:
        for follower in self._followers:
            follower.lose()


class Follower:
    """One follower's bounded buffer."""

    def __init__(self, buffer: int) -> None:
        self._buffer = buffer
        self._events: deque[LiveEvent] = deque()
        self._ready = asyncio.Event()
        self._lost = False

    def put(self, events: Sequence[LiveEvent]) -> None:
        """Buffer events; if they do not fit, the follower has lost events, as by `lose`."""
        if not events:
            return  # nothing to wake up for
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
        """Wait for events and return them in order.

        Raises `Overloaded` once some are missing: read the store and follow again.
        """
        await self._ready.wait()
        if self._events:
            events = tuple(self._events)
            self._events.clear()
            if not self._lost:
                self._ready.clear()
            return events
        raise Overloaded("events are missing from here on: follow again")
