"""The live feed inside one process."""

from collections.abc import Sequence

from chat4all.adapters.embedded.link import Announced
from chat4all.adapters.subscribers import BUFFER_MAX, Subscribers
from chat4all.ports import LiveEvent


class EmbeddedFeed:
    """Hands every announcement to every subscriber, each through a bounded buffer of its own."""

    def __init__(self, buffer: int = BUFFER_MAX) -> None:
        self._subscribers = Subscribers(buffer)
        self.subscribe = self._subscribers.subscribe
        self.watch = self._subscribers.watch

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """Hand the events on; see `ports.LiveFeed`."""
        self._subscribers.tell({event.key for event in events})
        self._subscribers.put(events)

    def republish(self, announced: Announced) -> None:
        """Hand on what another process announced; it is not even decoded when nobody listens."""
        self._subscribers.tell(announced.keys)
        if self._subscribers:
            self._subscribers.put(announced.decode())
