"""Following the outbox, so that what is kept still holds.

EXACTNESS rule: what is held is valid while the last good poll was *asked* less than 5 s ago.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.periodic import periodically
from chat4all.domain.errors import Unavailable
from chat4all.ports.outbox import Outbox, OutboxEntry, Subject

VALID_SECONDS = 5.0
POLL_EVERY_SECONDS = 0.5
"""So that a change is normally known within a second."""

POLL_SECONDS = 2.0
"""How long one poll may take: two that fail leave time for one that does not."""

Clock = Callable[[], float]

_log = logging.getLogger(__name__)


class ChangeListener(Protocol):
    """Something that keeps what the outbox is about."""

    def changed(self, entries: Sequence[OutboxEntry]) -> None:
        """Drop what these entries are about."""
        ...

    def all_changed(self) -> None:
        """Drop everything."""
        ...


class WhenAliased:
    """Calls `call` when a user got an alias, or may have."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def changed(self, entries: Sequence[OutboxEntry]) -> None:
        """See `ChangeListener`."""
        if any(entry.subject is Subject.ALIAS for entry in entries):
            self._call()

    def all_changed(self) -> None:
        """See `ChangeListener`."""
        self._call()


class OutboxFollower:
    """Polls the outbox and tells its listeners what has changed.

    `whose` outbox it is: clients are told that it is away when it does not answer. `clock` only
    grows, in seconds.
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
        self._shown = f"{whose} is away"
        self._clock = clock
        self._position: int | None = None
        self._asked: float | None = None
        """When the last poll that was answered was asked."""
        self._seen: frozenset[str] = frozenset()
        """Entries of the last page: the next one has most of them again."""
        self._listeners: list[ChangeListener] = []
        self._trouble = f"{whose} has not been heard yet"

    def tells(self, listener: ChangeListener) -> None:
        """Tell a listener as well, from the next poll on; it keeps nothing yet."""
        self._listeners.append(listener)

    def require(self) -> None:
        """Raise `Unavailable` unless what is kept still holds."""
        if self._asked is None or self._clock() - self._asked >= VALID_SECONDS:
            raise Unavailable(self._trouble, self._shown)

    async def ping(self) -> None:
        """Return while what is kept still holds."""
        self.require()

    async def poll(self) -> None:
        """Ask once what has changed. Raises `Unavailable`."""
        asked = self._clock()
        try:
            async with asyncio.timeout(POLL_SECONDS):
                page = await self._outbox.after(self._position)
        except TimeoutError as error:
            raise Unavailable(f"{self._whose} does not answer in time", self._shown) from error
        if page.complete:
            new = [entry for entry in page.entries if entry.entry_id not in self._seen]
            for listener in self._listeners:
                listener.changed(new)
        else:
            for listener in self._listeners:
                listener.all_changed()
        self._seen = frozenset(entry.entry_id for entry in page.entries)
        self._position = page.position
        self._asked = asked

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
