"""The router's side of the embedded log: its offset lives in the store (EXACTNESS 21)."""

from collections.abc import Sequence

from chat4all.adapters.embedded.log import EmbeddedLog
from chat4all.adapters.embedded.store import EmbeddedStore
from chat4all.domain.errors import StartRefused
from chat4all.domain.ids import LogPosition
from chat4all.ports import Poll

WAIT_SECONDS = 1.0
"""How long a poll of a quiet log lasts."""


class EmbeddedConsumer:
    """Reads the one partition from where the store says that everything is done.

    It is the only consumer (the data folder is locked), so its assignment lasts as long as it does.
    """

    def __init__(
        self, log: EmbeddedLog, store: EmbeddedStore, *, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._log = log
        self._store = store
        self._wait_seconds = wait_seconds
        self._after: int | None = None

    async def check(self) -> None:
        """Raise `StartRefused` unless this store was filled from this log."""
        known, offset = await self._store.follows(self._log.log_id)
        if known != self._log.log_id:
            raise StartRefused(
                "log.db and store.db do not belong together: put back the pair from one backup"
            )
        end = await self._log.end()
        if end < offset:
            raise StartRefused(
                f"log.db ends at {end}, but store.db has already stored up to {offset}: log.db is "
                "older than store.db; put back the pair from one backup"
            )

    async def poll(self, limit: int) -> Poll:
        """Return what comes next; see `ports.LogConsumer`."""
        if self._after is None:
            _, self._after = await self._store.follows(self._log.log_id)
        records = await self._log.read(self._after, limit)
        if not records:
            await self._log.wait(self._wait_seconds)
            records = await self._log.read(self._after, limit)
        if records:
            self._after = records[-1].position.offset
        return Poll(records, {0: 1})

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Keep the offset, unless the store already did so together with what it stored."""
        await self._store.commit(through)
