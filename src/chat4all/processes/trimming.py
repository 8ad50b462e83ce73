"""What a process on one machine deletes from its log."""

import time
from collections.abc import Callable

from chat4all.adapters.embedded import EmbeddedLog, EmbeddedStore
from chat4all.adapters.sql.steady_clock import STEADY_SECONDS, SteadyClock


class LogTrimming:
    """Deletes routed records once they are old enough, since the messages are in the store.

    The store can be made anew from them, so a clock that is ahead for a moment must not cost them.
    """

    def __init__(
        self,
        log: EmbeddedLog,
        store: EmbeddedStore,
        days: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._store = store
        self._days = days
        self._monotonic = monotonic
        self._began = monotonic()
        self._clock = SteadyClock(monotonic)
        self._clock.is_steady(time.time())  # any later jump is noticed

    async def trim(self) -> None:
        """Delete what is old enough, unless the clock has jumped within the last hour."""
        now = time.time()
        if not self._clock.is_steady(now):
            return
        now_ms = int(now * 1000)
        if self._monotonic() - self._began < STEADY_SECONDS:
            # It may have begun with a clock that is ahead; the newest record has another's time.
            now_ms = min(now_ms, await self._log.newest_ms())
        before_ms = now_ms - self._days * 86_400_000
        while await self._log.trim(before_ms, await self._store.stored()):
            pass
