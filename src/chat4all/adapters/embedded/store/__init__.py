"""The message store in one SQLite file, `store.db`."""

from chat4all.adapters.embedded.store.file import EmbeddedStore

__all__ = ["EmbeddedStore"]
