"""The live feed's one listener in a gateway: it tells what is kept of a change, and followers."""

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
"""Events that one follower may be behind before it is told to start again."""

_log = logging.getLogger(__name__)


class Hub:
    """Hands what is announced to every follower; never waits for a slow one."""

    def __init__(self, versions: ConversationVersions, buffer: int = BUFFER_MAX) -> None:
        self._versions = versions
        self._buffer = buffer
        self._followers: set[Follower] = set()

    def announced(self, key: str, decode: Decode) -> None:
        """Take an announcement; without a follower it is not even decoded. See `FeedListener`."""
        self._versions.supersede(key)
        if not self._followers:
            return
        try:
            events = decode()
        except MalformedEvent as error:
            # It may have been anything: followers must read the store.
            _log.error("an announcement cannot be read", extra={"cause": str(error)})
            self._lose()
        else:
            for follower in self._followers:
                follower.put(events)

    def lost(self) -> None:
        """Take note that announcements are missing; see `FeedListener`."""
        self._versions.supersede_all()
        self._lose()

    def alive(self, seconds_ago: float = 0.0) -> None:
        """Keep cached pages usable; see `FeedListener`."""
        self._versions.heard(seconds_ago)

    @asynccontextmanager
    async def follow(self) -> "AsyncIterator[Follower]":
        """Follow all that is announced from now on."""
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
