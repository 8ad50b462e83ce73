"""The log, the store, the dead letters and the live feed in one process, on two SQLite files.

A small installation runs on them, and so do the fast tests: these use no fakes of their own.
"""

from chat4all.adapters.embedded.blobs import FolderBlobs
from chat4all.adapters.embedded.consumer import EmbeddedConsumer
from chat4all.adapters.embedded.feed import EmbeddedFeed
from chat4all.adapters.embedded.folder import DataFolder
from chat4all.adapters.embedded.link import GatewayLink, RouterLink
from chat4all.adapters.embedded.log import EmbeddedLog
from chat4all.adapters.embedded.progress import EmbeddedProgress
from chat4all.adapters.embedded.store import EmbeddedStore

__all__ = [
    "DataFolder",
    "EmbeddedConsumer",
    "EmbeddedFeed",
    "EmbeddedLog",
    "EmbeddedProgress",
    "EmbeddedStore",
    "FolderBlobs",
    "GatewayLink",
    "RouterLink",
]
