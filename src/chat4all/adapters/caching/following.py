"""Following the outbox, so that what is cached still holds.

EXACTNESS 19: what is cached is valid while the last good poll *began* less than 5 s ago.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.periodic import periodically
from chat4all.domain.errors import Unavailable
from chat4all.ports.outbox import ChangeListener, Outbox

VALID_SECONDS = 5.0
POLL_EVERY_SECONDS = 0.5
"""So that a change is normally known within a second."""

POLL_SECONDS = 2.0
"""How long one poll may take: two that fail leave time for one that does not."""

Clock = Callable[[], float]

_log = logging.getLogger(__name__)


class OutboxFollower:
    """Polls the outbox and tells its listeners what has changed.

    `whose` outbox it is: clients read that this is away when it does not answer. `clock` is
    monotonic, in seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        whose: str = "the metadata service",
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._whose = whose
        self._public = f"{whose} is away"
        self._clock = clock
        self._position: int | None = None
        self._polled_at: float | None = None
        """When the last poll that was answered began."""
        self._seen: frozenset[str] = frozenset()
        """Entries of the last page: the next one has most of them again."""
        self._listeners: list[ChangeListener] = []
        self._trouble = f"{whose} has not been heard yet"

    def add_listener(self, listener: ChangeListener) -> None:
        """Call a listener for every change from the next poll on; see `ports.outbox.Changes`."""
        self._listeners.append(listener)

    def require(self) -> None:
        """Raise `Unavailable` unless what is cached still holds."""
        if self._polled_at is None or self._clock() - self._polled_at >= VALID_SECONDS:
            raise Unavailable(self._trouble, self._public)

    async def ping(self) -> None:
        """Return while what is cached still holds."""
        self.require()

    async def poll(self) -> None:
        """Ask once what has changed, and tell the listeners. Raises `Unavailable`."""
        began = self._clock()
        try:
            async with asyncio.timeout(POLL_SECONDS):
                page = await self._outbox.after(self._position)
        except TimeoutError as error:
            raise Unavailable(f"{self._whose} does not answer in time", self._public) from error
        if page.complete:
            new = [entry for entry in page.entries if entry.entry_id not in self._seen]
            for listener in self._listeners:
                listener.changed(new)
        else:
            for listener in self._listeners:
                listener.all_changed()
        self._seen = frozenset(entry.entry_id for entry in page.entries)
        self._position = page.position
        self._polled_at = began

    def running(self) -> AbstractAsyncContextManager[None]:
        """Poll while in this context. Does not wait for the first answer."""
        outages = OutageLog(_log, "the outbox cannot be followed", "the outbox is followed again")
        return periodically("following the outbox", self._follow, POLL_EVERY_SECONDS, outages)

    async def _follow(self) -> None:
        try:
            await self.poll()
        except Unavailable as error:
            self._trouble = str(error)
            raise
