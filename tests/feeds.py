"""A live feed with its hub, and announcements that have arrived when `announce` returns."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from math import inf

from chat4all.domain.events import LiveEvent
from chat4all.gateway.live.hub import Follower, Hub
from chat4all.ports.feed import Announcements, Decode, LiveFeed
from chat4all.usecases.versions import ConversationVersions


class ArrivingHub(Hub):
    """A hub that tells when something has arrived."""

    def __init__(self, buffer: int) -> None:
        super().__init__(ConversationVersions(inf), buffer)
        self.arrived = asyncio.Event()

    def announced(self, key: str, decode: Decode) -> None:
        super().announced(key, decode)
        self.arrived.set()


class Followed:
    """One router's announcements and one gateway's hub, with a feed between them."""

    def __init__(self, announcements: Announcements, feed: LiveFeed, buffer: int = 10_000) -> None:
        self._announcements = announcements
        self.hub = ArrivingHub(buffer)
        feed.listen(self.hub)

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        self.hub.arrived.clear()
        await self._announcements.announce(events)
        async with asyncio.timeout(10):
            await self.hub.arrived.wait()

    def follow(self) -> AbstractAsyncContextManager[Follower]:
        return self.hub.follow()
