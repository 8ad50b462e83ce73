"""Whether a wall clock can be trusted with what cannot be undone: deleting what has expired."""

import time
from collections.abc import Callable
from math import inf

STEADY_SECONDS = 3600.0
"""How long a clock that has jumped must go on from there."""

JUMP_SECONDS = 120.0
"""What a clock is set by in small steps, or lags behind another, is less."""


class SteadyClock:
    """Compares a wall clock with this process's monotonic one.

    It notices no jump from before it was asked first, and trusts a clock that stays ahead for more
    than an hour.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._difference: float | None = None
        self._since = -inf

    def is_steady(self, wall: float) -> bool:
        """Say whether `wall`, the time in seconds, is to be trusted."""
        now = self._monotonic()
        difference = wall - now
        if self._difference is None:
            self._difference = difference
        elif abs(difference - self._difference) > JUMP_SECONDS:
            self._difference, self._since = difference, now
        return now - self._since >= STEADY_SECONDS
