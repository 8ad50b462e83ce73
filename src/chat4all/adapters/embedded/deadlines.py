"""A deadline for each of many futures, with one timer for all."""

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any


class Deadlines:
    """Fails each future that is not done after `seconds`; they come due in the order of `watch`."""

    def __init__(self, seconds: float, error: Callable[[], Exception]) -> None:
        self._seconds = seconds
        self._error = error
        # Weak references: futures that are done are not kept alive behind one that hangs.
        self._due: deque[tuple[float, weakref.ref[asyncio.Future[Any]]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, future: asyncio.Future[Any]) -> None:
        """Fail this future unless it is done in time."""
        loop = future.get_loop()
        while self._due and _pending(self._due[0][1]) is None:
            self._due.popleft()
        self._due.append((loop.time() + self._seconds, weakref.ref(future)))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._expire_due, loop)

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()

    def _expire_due(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fail the futures that are due, and set the timer for the oldest that still waits."""
        self._timer = None
        while self._due:
            due, watched = self._due[0]
            future = _pending(watched)
            if future is not None and due > loop.time():
                self._timer = loop.call_at(due, self._expire_due, loop)
                return
            self._due.popleft()
            if future is not None:
                future.set_exception(self._error())


def _pending(watched: weakref.ref[asyncio.Future[Any]]) -> asyncio.Future[Any] | None:
    """Return a future that is not done and is waited for."""
    future = watched()
    return None if future is None or future.done() else future
