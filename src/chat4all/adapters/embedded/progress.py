"""How far the router of one machine has come."""

import asyncio
import time
from collections.abc import Collection

from chat4all.adapters.embedded.log import EmbeddedLog
from chat4all.adapters.embedded.store import EmbeddedStore
from chat4all.domain.ids import ConversationId

WAIT_SECONDS = 5.0
LOOK_SECONDS = 0.05


class EmbeddedProgress:
    """The port `ports.progress.LogProgress`, for a log of one partition."""

    def __init__(
        self, log: EmbeddedLog, store: EmbeddedStore, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._log = log
        self._store = store
        self._wait_seconds = wait_seconds

    async def passed(self, conversations: Collection[ConversationId]) -> Collection[ConversationId]:
        """Return all of them or none; see `ports.progress.LogProgress`."""
        end = await self._log.end()
        deadline = time.monotonic() + self._wait_seconds
        while await self._store.stored() < end:
            if time.monotonic() >= deadline:
                return ()
            await asyncio.sleep(LOOK_SECONDS)
        return conversations
