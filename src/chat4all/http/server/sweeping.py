"""Sweeps over all connections: for time limits, and for room when there are too many.

`sweep` is called twice a second: of timers for each connection, a thousand would be set and
cancelled for one that fires.
"""

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chat4all.http.server.protocol import BoundedProtocol


def sweep(connections: Iterable["BoundedProtocol"], now: float) -> None:
    """Check every connection; call it twice a second or so with the event loop's time."""
    for connection in tuple(connections):
        connection.check(now)


def close_the_idle(connections: Sequence["BoundedProtocol"], count: int) -> None:
    """Close those that never sent a request, then those that have been idle longest."""
    waiting = [
        (waits, connection)
        for connection in connections
        if (waits := connection.waits()) is not None
    ]
    for _, connection in nsmallest(count, waiting, key=itemgetter(0)):
        connection.leave()
