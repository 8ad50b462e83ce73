"""Which topic each epoch of the log is (EXACTNESS 10): written once, never changed."""

from chat4all.adapters.cassandra.session import CassandraSession
from chat4all.domain.records import Epoch

_ALL = "SELECT epoch, topic, topic_id, partitions FROM log_epochs"
_ADD = (
    "INSERT INTO log_epochs (epoch, topic, topic_id, partitions) VALUES (?, ?, ?, ?) IF NOT EXISTS"
)


class CassandraEpochs:
    """The table `log_epochs`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    async def newest(self) -> Epoch | None:
        """Return the newest epoch; None before the first `chat4all migrate`."""
        return max(await self._all(), default=None)

    async def add(self, epoch: Epoch) -> Epoch:
        """Write an epoch unless its number is taken; return the one that has the number."""
        await self._session.run(_ADD, epoch)
        return next(stored for stored in await self._all() if stored.number == epoch.number)

    async def _all(self) -> list[Epoch]:
        return [Epoch(*row) for row in await self._session.run(_ALL)]
