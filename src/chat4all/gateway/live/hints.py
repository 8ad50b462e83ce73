"""Hints that a user's memberships have changed: the directory is asked at once, not soon."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from chat4all.concurrency.keyed import KeyedWork
from chat4all.concurrency.outages import OutageLog
from chat4all.domain.events import USER
from chat4all.domain.ids import Username
from chat4all.gateway.live.followers import Followers

GATHER_SECONDS = 0.05
"""The outbox is read at most once in so short a time for hints."""

_log = logging.getLogger(__name__)


class MembershipHints:
    """Reads the outbox when a user of this gateway was added or removed. `poll`: of the outbox."""

    def __init__(self, followers: Followers, poll: Callable[[], Awaitable[None]]) -> None:
        self._followers = followers
        self._poll = poll
        outages = OutageLog(_log, "a hint that members have changed leads to nothing")
        self._work = KeyedWork[str](self._look, outages, at_once=1)

    def heard(self, key: str) -> None:
        """Take a hint by its key, which says all."""
        if Username(key.removeprefix(USER)) in self._followers.users:
            self._work.mark("")

    async def close(self) -> None:
        """Look no more."""
        await self._work.close()

    async def _look(self, _: str) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        await self._poll()
