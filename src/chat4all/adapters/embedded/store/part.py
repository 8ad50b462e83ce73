"""The common base of the store's parts: the file."""

from chat4all.adapters.embedded.database import Database


class Part:
    """Some of the tables of `store.db`. All parts of a store share one `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database
