"""The live feed inside one process, fed by this and by another process of this machine."""

from collections.abc import Sequence
from functools import partial
from math import inf

from chat4all.adapters.embedded.link import Announced
from chat4all.domain.events import LiveEvent, by_key
from chat4all.ports.feed import FeedListener, push


class EmbeddedFeed:
    """Pushes every announcement to the listener, if there is one, before `announce` returns.

    `silence_seconds` is for a feed of another process: one inside this process cannot be lost.
    """

    def __init__(self, silence_seconds: float = inf) -> None:
        self.silence_seconds = silence_seconds
        self._listener: FeedListener | None = None

    def listen(self, listener: FeedListener) -> None:
        """Push to `listener` from now on; see `ports.feed.LiveFeed`."""
        self._listener = listener
        listener.alive()

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """Push events of this process; see `ports.feed.Announcements`."""
        if self._listener is None:
            return
        for key, of_key in by_key(events).items():
            push(self._listener, key, partial(list, of_key))
        self._listener.alive()

    def republish(self, announced: Announced) -> None:
        """Push what another process announced."""
        if self._listener is None:
            return
        for key, encoded in announced.events:
            push(self._listener, key, partial(announced.decode, encoded))
        self._listener.alive()

    def heard(self) -> None:
        """Note a sign of life from the other process, which announces."""
        if self._listener is not None:
            self._listener.alive()
