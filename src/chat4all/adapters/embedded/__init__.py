"""MessageLog, MessageStore, DeadLetters and LiveFeed in one process, on two SQLite files.

They are what a small team keeps, and the fakes of the fast tests: one implementation for both, so
that the tests speak of what runs.
"""

from chat4all.adapters.embedded.consumer import EmbeddedConsumer
from chat4all.adapters.embedded.feed import EmbeddedFeed
from chat4all.adapters.embedded.folder import DataFolder
from chat4all.adapters.embedded.link import GatewayLink, RouterLink
from chat4all.adapters.embedded.log import EmbeddedLog
from chat4all.adapters.embedded.store import EmbeddedStore

__all__ = [
    "DataFolder",
    "EmbeddedConsumer",
    "EmbeddedFeed",
    "EmbeddedLog",
    "EmbeddedStore",
    "GatewayLink",
    "RouterLink",
]
