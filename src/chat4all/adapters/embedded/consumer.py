"""The router's side of the embedded log; its offset is in the store (EXACTNESS 21)."""

import asyncio
from collections.abc import Sequence

from chat4all.adapters.embedded.log import EmbeddedLog
from chat4all.adapters.embedded.store import EmbeddedStore
from chat4all.domain.errors import StartRefused
from chat4all.domain.ids import LogPosition
from chat4all.ports.log import Poll

WAIT_SECONDS = 1.0
"""How long a poll waits for records."""


def pair_trouble(log_id: str, first: int, end: int, followed: str, offset: int) -> str | None:
    """Say what is wrong with a log and a store as a pair (EXACTNESS 8, 21); None: nothing.

    `log_id`, `first` and `end` are the log's id, its lowest offset (or the next one if it is empty)
    and its highest; `followed` and `offset` are the log that the store was filled from, and up to
    which offset.
    """
    if followed != log_id:
        return "log.db and store.db do not belong together: put back the pair from one backup"
    if end < offset:
        return (
            f"log.db ends at {end}, but store.db has already stored up to {offset}: log.db is "
            "older than store.db; put back the pair from one backup"
        )
    if first > offset + 1:
        return (
            f"log.db begins at {first}, but store.db has stored up to {offset} only: what was "
            "between them is missing; put back the pair from one backup"
        )
    return None


class EmbeddedConsumer:
    """Reads the one partition from the offset in the store.

    It is the only consumer (the data folder is locked), so its assignment never changes.
    """

    def __init__(
        self, log: EmbeddedLog, store: EmbeddedStore, *, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._log = log
        self._store = store
        self._wait_seconds = wait_seconds
        self._after: int | None = None
        self._stopped: dict[int, str] = {}

    async def check(self) -> None:
        """Raise `StartRefused` unless this store was filled from this log."""
        followed, offset = await self._store.follows(self._log.log_id)
        trouble = pair_trouble(
            self._log.log_id, await self._log.first(), await self._log.end(), followed, offset
        )
        if trouble is not None:
            raise StartRefused(trouble)

    async def poll(self, limit: int) -> Poll:
        """Return the next records; see `ports.log.LogConsumer`."""
        if self._stopped:
            await asyncio.sleep(self._wait_seconds)
            return Poll((), {0: 1}, self._stopped)
        if self._after is None:
            _, self._after = await self._store.follows(self._log.log_id)
        records = await self._log.read(self._after, limit)
        if not records:
            await self._log.wait(self._wait_seconds)
            records = await self._log.read(self._after, limit)
        if records:
            self._after = records[-1].log_position.offset
        return Poll(records, {0: 1})

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Store the offset, unless the store did so in the batch's transaction."""
        await self._store.commit(through)

    def stop(self, partition: int, cause: str) -> None:
        """Hand out nothing more; see `ports.log.LogConsumer`."""
        self._stopped[partition] = cause
