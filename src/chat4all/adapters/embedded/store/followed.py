"""Which log the store is filled from, and up to which offset (EXACTNESS 21)."""

import sqlite3
from collections.abc import Sequence

from chat4all.adapters.embedded.database import Database
from chat4all.adapters.embedded.store.part import Part
from chat4all.domain.ids import LogPosition

_PUT_OFFSET = 'UPDATE followed_log SET "offset" = max("offset", ?)'


class FollowedLog(Part):
    """The table `followed_log`. `committed` is the offset as far as this process knows it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.committed = 0

    async def follows(self, log_id: str) -> tuple[str, int]:
        """Return the log that this store is filled from, and up to which offset.

        A store without one takes `log_id` from now on.
        """

        def adopt(db: sqlite3.Connection) -> tuple[str, int]:
            db.execute(
                "INSERT INTO followed_log VALUES (1, ?, 0) ON CONFLICT DO NOTHING", (log_id,)
            )
            followed, offset = db.execute('SELECT log_id, "offset" FROM followed_log').fetchone()
            return followed, offset

        followed, self.committed = await self._database.write(adopt)
        return followed, self.committed

    async def stored(self) -> int:
        """Read the offset up to which everything is stored, also by another process."""
        row = await self._database.read_one('SELECT "offset" FROM followed_log', {})
        return 0 if row is None else int(row[0])

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Store the offset, unless a batch has already."""
        offset = highest_offset(through)
        if offset > self.committed:
            await self._database.write(lambda db: put_offset(db, offset))
            self.committed = offset


def put_offset(db: sqlite3.Connection, offset: int) -> None:
    """Store an offset in the current transaction; a lower one than before changes nothing."""
    db.execute(_PUT_OFFSET, (offset,))


def highest_offset(through: Sequence[LogPosition]) -> int:
    """Return the offset of the embedded log's one partition; 0 for a batch that covers none."""
    return max((position.offset for position in through), default=0)
