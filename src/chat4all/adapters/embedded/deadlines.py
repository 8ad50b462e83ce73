"""An end for futures that wait too long, without a timer for each."""

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any


class Deadlines:
    """Gives each future its error after as many seconds as all have: they come due in turn."""

    def __init__(self, seconds: float, error: Callable[[], Exception]) -> None:
        self._seconds = seconds
        self._error = error
        # Weakly: what is done behind one that hangs must not be kept until that one's end.
        self._due: deque[tuple[float, weakref.ref[asyncio.Future[Any]]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, future: asyncio.Future[Any]) -> None:
        """See to it that this future is done in time."""
        loop = future.get_loop()
        while self._due and _pending(self._due[0][1]) is None:
            self._due.popleft()
        self._due.append((loop.time() + self._seconds, weakref.ref(future)))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._end_what_is_due, loop)

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _end_what_is_due(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is due, and come back for the oldest that still waits."""
        self._timer = None
        while self._due:
            due, watched = self._due[0]
            future = _pending(watched)
            if future is not None and due > loop.time():
                self._timer = loop.call_at(due, self._end_what_is_due, loop)
                return
            self._due.popleft()
            if future is not None:
                future.set_exception(self._error())


def _pending(watched: weakref.ref[asyncio.Future[Any]]) -> asyncio.Future[Any] | None:
    """Return a future that is not done and is waited for."""
    future = watched()
    return None if future is None or future.done() else future
