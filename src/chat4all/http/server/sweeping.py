"""Sweeps over all connections: for time limits, and for room when there are too many.

`sweep` is called twice a second: of timers for each connection, a thousand would be set and
cancelled for one that fires.
"""

import logging
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from operator import itemgetter
from typing import Protocol

_log = logging.getLogger(__name__)


class Timed(Protocol):
    """A connection with limits in time."""

    def check(self, now: float) -> None:
        """Act on a state that lasts too long. `now` is the event loop's time in seconds."""
        ...


class Replaceable(Protocol):
    """A connection that can be closed to make room for another one."""

    def waits(self) -> tuple[bool, float] | None:
        """Return whether it was used before, and since when it waits; None while it is in use."""
        ...

    def leave(self) -> None:
        """Close at once."""
        ...


def sweep(connections: Iterable[Timed], now: float) -> None:
    """Check every connection; call it twice a second or so with the event loop's time."""
    for connection in tuple(connections):
        check(connection, now)


def check(connection: Timed, now: float) -> None:
    """Check one connection; what it raises is logged, since it must not end the server."""
    try:
        connection.check(now)
    except Exception:
        _log.exception("a connection could not be checked")


def close_the_idle(connections: Sequence[Replaceable], count: int) -> None:
    """Close those that never sent a request, then those that have been idle longest."""
    waiting = [
        (waits, connection)
        for connection in connections
        if (waits := connection.waits()) is not None
    ]
    for _, connection in nsmallest(count, waiting, key=itemgetter(0)):
        connection.leave()
