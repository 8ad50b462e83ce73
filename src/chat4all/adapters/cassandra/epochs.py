"""Which topic each epoch of the log is (EXACTNESS 10): written once, never changed."""

from typing import NamedTuple

from chat4all.adapters.cassandra.session import CassandraSession

_NEWEST = "SELECT epoch, topic, topic_id, partitions FROM log_epochs"
_ADD = (
    "INSERT INTO log_epochs (epoch, topic, topic_id, partitions) VALUES (?, ?, ?, ?) IF NOT EXISTS"
)


class EpochRow(NamedTuple):
    """One epoch: its number, its topic's name and id, and how many partitions that has."""

    epoch: int
    topic: str
    topic_id: str
    partitions: int


class CassandraEpochs:
    """The table `log_epochs`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    async def newest(self) -> EpochRow | None:
        """Return the newest epoch; None before the first `chat4all migrate`."""
        rows = await self._session.run(_NEWEST)
        return max((EpochRow(*row) for row in rows), default=None)

    async def add(self, row: EpochRow) -> EpochRow:
        """Write an epoch unless it is there, and return the one that is."""
        await self._session.run(_ADD, row)
        rows = await self._session.run(_NEWEST)
        return next(EpochRow(*found) for found in rows if found[0] == row.epoch)
