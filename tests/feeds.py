"""A live feed with one listener, and announcements that have arrived when `announce` returns."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf

from chat4all.domain.errors import Overloaded
from chat4all.domain.events import LiveEvent
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Activity
from chat4all.gateway.live.followers import Followers
from chat4all.gateway.live.hub import Hub
from chat4all.ports.feed import Announcements, Decode, LiveFeed
from chat4all.usecases.versions import ConversationVersions
from chat4all.wire.events import MalformedEvent


async def nothing(_: ConversationId) -> None:
    pass


async def no_activity(_: Sequence[ConversationId]) -> Mapping[ConversationId, Activity]:
    return {}


async def none_read(
    _: Mapping[ConversationId, Sequence[Username]],
) -> Mapping[ConversationId, Mapping[Username, int]]:
    return {}


def a_hub(versions: ConversationVersions | None = None) -> Hub:
    """Return a hub that nobody follows."""
    return Hub(versions or ConversationVersions(inf), Followers(), nothing, no_activity, none_read)


class Listener:
    """Hands every event to every follower, and tells when something has arrived."""

    def __init__(self, buffer: int = 10_000) -> None:
        self.arrived = asyncio.Event()
        self._buffer = buffer
        self._followers: set[Follower] = set()

    def announced(self, _: str, decode: Decode) -> None:
        try:
            events = decode()
        except MalformedEvent:
            self.lost()
        else:
            for follower in self._followers:
                follower.put(events)
        self.arrived.set()

    def lost(self) -> None:
        for follower in self._followers:
            follower.lose()

    def alive(self, seconds_ago: float = 0.0) -> None:
        pass

    @asynccontextmanager
    async def follow(self) -> "AsyncIterator[Follower]":
        """Follow every announcement from now on."""
        follower = Follower(self._buffer)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)


class Follower:
    """One follower's bounded buffer."""

    def __init__(self, buffer: int) -> None:
        self._buffer = buffer
        self._events: deque[LiveEvent] = deque()
        self._ready = asyncio.Event()
        self._lost = False

    def put(self, events: Sequence[LiveEvent]) -> None:
        if not events:
            return  # nothing to wake up for
        if len(self._events) + len(events) > self._buffer:
            self._lost = True
        if not self._lost:
            self._events.extend(events)
        self._ready.set()

    def lose(self) -> None:
        self._lost = True
        self._ready.set()

    async def next(self) -> Sequence[LiveEvent]:
        """Wait for events and return them in order; `Overloaded` once some are missing."""
        await self._ready.wait()
        if self._events:
            events = tuple(self._events)
            self._events.clear()
            if not self._lost:
                self._ready.clear()
            return events
        raise Overloaded("events are missing from here on: follow again")


class Followed:
    """One router's announcements and one gateway's listener, with a feed between them."""

    def __init__(self, announcements: Announcements, feed: LiveFeed, buffer: int = 10_000) -> None:
        self._announcements = announcements
        self._listener = Listener(buffer)
        feed.listen(self._listener)

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        self._listener.arrived.clear()
        await self._announcements.announce(events)
        async with asyncio.timeout(10):
            await self._listener.arrived.wait()

    def follow(self) -> AbstractAsyncContextManager[Follower]:
        return self._listener.follow()
