"""Following the outbox, to drop cached values that have changed.

EXACTNESS 19: a cached value is valid while the last good poll *began* less than 5 s ago.
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
"""Changes are normally known within a second."""

POLL_SECONDS = 2.0
"""How long one poll may take: two that fail leave time for one that does not."""

Clock = Callable[[], float]

_log = logging.getLogger(__name__)


class OutboxFollower:
    """Polls the outbox and tells its listeners what has changed.

    `source_name` says in error texts whose outbox it is. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        source_name: str = "the metadata service",
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._source_name = source_name
        self._public = f"{source_name} is unavailable"
        self._clock = clock
        self._position: int | None = None
        self._polled_at: float | None = None
        """When the last successful poll began."""
        self._seen: frozenset[str] = frozenset()
        """Entries of the last page: the next one repeats most of them."""
        self._listeners: list[ChangeListener] = []
        self._polling = asyncio.Lock()
        """One poll at a time: a page that comes late would take the position back."""
        self._trouble = f"{source_name} has not been heard yet"

    def add_listener(self, listener: ChangeListener) -> None:
        """Call a listener for every change from the next poll on; see `ports.outbox.Changes`."""
        self._listeners.append(listener)

    def require(self) -> None:
        """Raise `Unavailable` unless cached values are valid."""
        if self._polled_at is None or self._clock() - self._polled_at >= VALID_SECONDS:
            raise Unavailable(self._trouble, self._public)

    async def ping(self) -> None:
        """Return while cached values are valid; raises `Unavailable`."""
        self.require()

    async def poll(self) -> None:
        """Read the outbox once, and tell the listeners what changed. Raises `Unavailable`."""
        async with self._polling:
            await self._poll()

    async def _poll(self) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(POLL_SECONDS):
                page = await self._outbox.after(self._position)
        except TimeoutError as error:
            raise Unavailable(
                f"{self._source_name} does not answer in time", self._public
            ) from error
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
