"""Looking at all connections: for limits in time, and for room when there are too many.

`sweep` is called twice a second, where a timer for each connection would be set and cancelled a
thousand times for one that ever fires.
"""

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chat4all.http.server.protocol import BoundedProtocol


def sweep(connections: Iterable["BoundedProtocol"], now: float) -> None:
    """Look at every connection; call it twice a second or so with the event loop's time."""
    for connection in tuple(connections):
        connection.check(now)


def close_the_idle(connections: Sequence["BoundedProtocol"], count: int) -> None:
    """Close those that never asked anything, then those that have waited longest."""
    waiting = [
        (waits, connection)
        for connection in connections
        if (waits := connection.waits()) is not None
    ]
    for _, connection in nsmallest(count, waiting, key=itemgetter(0)):
        connection.leave()
