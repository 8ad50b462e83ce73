"""Work in bulk that gives way to urgent work of the same process."""

import asyncio
import time

URGENT_SECONDS = 1.0
"""How long work in bulk gives way after something urgent was done."""

BURST_SECONDS = 0.005
"""How much of what was not used before may be used at once."""


class Pace:
    """Bounds work in bulk to `rate` units a second while there is urgent work; otherwise to none.

    For one event loop.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._urgent_until = 0.0
        self._free_at = 0.0
        """When what has been taken so far is done at this rate."""

    def note_urgent(self) -> None:
        """Note that something urgent is being done."""
        self._urgent_until = time.monotonic() + URGENT_SECONDS

    async def take(self, amount: int) -> None:
        """Wait until so many units may be worked on."""
        now = time.monotonic()
        if now >= self._urgent_until:
            return
        # Taken before waiting, so that those who come meanwhile wait behind.
        self._free_at = max(self._free_at, now - BURST_SECONDS) + amount / self._rate
        await asyncio.sleep(max(0.0, self._free_at - now))
