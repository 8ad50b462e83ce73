"""The live feed: what the router announces, pushed to one listener in each process."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from chat4all.domain.events import LiveEvent

_log = logging.getLogger(__name__)

Decode = Callable[[], Sequence[LiveEvent]]
"""Returns the events of an announcement; raises `MalformedEvent` for one that cannot be read."""


class Announcements(Protocol):
    """The router's side of the live feed."""

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """Announce the events, in order; return once the feed has them."""
        ...


class FeedListener(Protocol):
    """The one listener of a process. Called on its event loop, which it must not block."""

    def announced(self, key: str, decode: Decode) -> None:
        """Handle an announcement; called for each, in order.

        Decoding is the expensive part: a listener that needs only the key does not decode.
        """
        ...

    def lost(self) -> None:
        """Note that announcements are missing before the next one.

        Not before the feed is sure to deliver everything that follows (EXACTNESS 20g).
        """
        ...

    def alive(self, seconds_ago: float = 0.0) -> None:
        """Note that the feed is heard: an announcement or its heartbeat.

        Every part of it was heard within the last `seconds_ago`.
        """
        ...


def push(listener: FeedListener, key: str, decode: Decode) -> None:
    """Hand an announcement to a listener. A defect in handling it does not end the feed.

    What it announced is lost then, and the listener is told so.
    """
    try:
        listener.announced(key, decode)
    except Exception:
        _log.exception("an announcement is not handled")
        listener.lost()


class LiveFeed(Protocol):
    """A process's side of the live feed."""

    silence_seconds: float
    """A feed that was not heard for so long may have lost announcements (EXACTNESS 18a)."""

    def listen(self, listener: FeedListener) -> None:
        """Push everything that is announced from now on to `listener`, the only one."""
        ...
