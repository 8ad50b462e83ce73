"""The message store on Cassandra, with write times that come from the log (rule 5)."""

from uuid import UUID

from chat4all.adapters.cassandra.history import CassandraHistory
from chat4all.adapters.cassandra.summaries import CassandraSummaries
from chat4all.adapters.cassandra.writing import SequencedTables

# Of the newest table, a partition that is nobody's: one node answers.
_PING = "SELECT seq, names FROM mentions WHERE conversation_id = ? AND bucket = ?"


class CassandraStore(SequencedTables, CassandraHistory, CassandraSummaries):
    """Every port of the store, on the tables of `migrations/`."""

    async def ping(self) -> None:
        """Return when the store can be read. `Unavailable` also before `chat4all migrate`."""
        await self._session.run(_PING, (UUID(int=0), 0))
