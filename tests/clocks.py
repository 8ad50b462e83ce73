"""Clocks of tests: one that stands still until it is moved, and a loop that waits for nothing."""

import asyncio
import selectors


class Clock:
    """Returns `now`, in seconds."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class _NoWaiting(selectors.DefaultSelector):
    """Lets time pass at once where nothing else is to be done."""

    now = 100.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is None or timeout > 0 else timeout)
        if not ready and timeout:
            self.now += timeout
        return ready


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time` jumps to the next thing to do: an hour takes no time.

    For code that waits for timers alone, not for threads or other processes.
    """

    def __init__(self) -> None:
        self._fast = _NoWaiting()
        super().__init__(self._fast)

    def time(self) -> float:
        """Return the time that has passed in it, in seconds."""
        return self._fast.now

    monotonic = time
