"""Which generation of the store the keyspace is: a random id that `chat4all migrate` makes.

It is lost with what it stands for: a keyspace that was made anew, or was emptied, has another one.
One that is put back from a snapshot keeps it, since the log brings the rest under the same numbers.
"""

import asyncio
import time
from collections.abc import Callable
from math import inf

from chat4all.adapters.cassandra.session import CassandraSession
from chat4all.domain.errors import Unavailable

ASK_SECONDS = 30.0
"""How long an answer counts."""

AGAIN_SECONDS = 3.0
"""After which it is asked for again if there was no answer."""

_CURRENT = "SELECT generation FROM store_generation WHERE only_row = 1"


class CassandraGeneration:
    """The port `ports.generation.Generation`. `clock` is monotonic, in seconds."""

    first: None = None
    """A keyspace that was made anew cannot be told from the first one."""

    def __init__(
        self, session: CassandraSession, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._clock = clock
        self._known = ""
        self._asked_at = -inf
        self._asking: asyncio.Task[None] | None = None

    async def current(self) -> str:
        """Return the id; see `ports.generation.Generation`. Raises `Unavailable` without one."""
        if self._clock() - self._asked_at >= ASK_SECONDS:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask())
            await asyncio.shield(self._asking)
        return self._known

    async def _ask(self) -> None:
        """Ask for all who wait; once an answer is known, the next one may come later."""
        now = self._clock()
        try:
            rows = await self._session.run(_CURRENT)
            if not rows:
                raise Unavailable("the keyspace has no generation: run `chat4all migrate`")
            ((self._known,),) = rows
            self._asked_at = now
        except Unavailable:
            if not self._known:
                raise
            self._asked_at = now - ASK_SECONDS + AGAIN_SECONDS
        finally:
            self._asking = None
