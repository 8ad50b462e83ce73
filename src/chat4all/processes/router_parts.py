"""The frozen value that `apps` makes a router from.

A module of its own: the router's process on one machine is forked while little is loaded.
"""

from dataclasses import dataclass
from typing import Protocol

from chat4all.ports.dead_letters import DeadLetterSink
from chat4all.ports.feed import Announcements
from chat4all.ports.log import LogConsumer, PartitionedLog
from chat4all.ports.store import RoutedStore


class RouterMeter(Protocol):
    """What is measured of a router."""

    def consumer(self, consumer: LogConsumer) -> LogConsumer:
        """Return the consumer, its batches measured."""
        ...

    def store(self, store: RoutedStore) -> RoutedStore:
        """Return the store, timed."""
        ...

    def dead_letters(self, letters: DeadLetterSink) -> DeadLetterSink:
        """Return the dead letters, counted."""
        ...

    def feed(self, feed: Announcements) -> Announcements:
        """Return the feed, its announcements counted."""
        ...


@dataclass(frozen=True, slots=True)
class RouterPorts:
    """A router's. `log` takes records that are in a wrong partition; None where there is one."""

    consumer: LogConsumer
    store: RoutedStore
    dead_letters: DeadLetterSink
    feed: Announcements
    meter: RouterMeter
    log: PartitionedLog | None = None
    poll_max: int | None = None
