"""Dropping what is kept for a while only."""

from chat4all.adapters.sql.creations import SqlCreations
from chat4all.adapters.sql.outbox import SqlOutbox
from chat4all.adapters.sql.transactions import Transactions


class SqlTrimming:
    """The port `ports.outbox.OutboxTrimming`, also for creations that had an `Idempotency-Key`."""

    def __init__(self, database: Transactions) -> None:
        self._kept = (SqlOutbox(database), SqlCreations(database))

    async def trim(self) -> int:
        """Drop some of what is too old and return how much; 0 when nothing is left."""
        return sum([await kept.trim() for kept in self._kept])
