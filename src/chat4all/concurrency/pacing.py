"""Work in bulk that gives way to urgent work of the same process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

URGENT_SECONDS = 1.0
"""How long work in bulk still gives way after something urgent has ended."""

BURST_SECONDS = 0.005
"""How much of what was not used before may be used at once."""


class Pace:
    """Has work in bulk do `rate` units a second while there is urgent work, or else all it can.

    For one event loop.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._under_way = 0
        """How much urgent work is being done."""
        self._urgent_until = 0.0
        self._free_at = 0.0
        """When what has been taken so far is done at this rate."""

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Have work in bulk give way until `URGENT_SECONDS` after the end of the context."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._urgent_until = time.monotonic() + URGENT_SECONDS

    def pay(self, amount: int) -> float:
        """Return how many seconds to sleep for so many units, before the next ones."""
        now = time.monotonic()
        if not self._under_way and now >= self._urgent_until:
            return 0.0
        self._free_at = max(self._free_at, now - BURST_SECONDS) + amount / self._rate
        return max(0.0, self._free_at - now)
