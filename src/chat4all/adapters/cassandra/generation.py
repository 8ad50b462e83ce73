"""Which generation of the store the keyspace is: a random id that `chat4all migrate` makes.

It is lost with what it stands for: a keyspace that was made anew, or was emptied, has another one.
One that is put back from a snapshot keeps it, since the log brings the rest under the same numbers.
"""

import time
from collections.abc import Callable
from math import inf

from chat4all.adapters.cassandra.session import CassandraSession
from chat4all.domain.errors import Unavailable

ASK_SECONDS = 30.0
"""How long an answer counts."""

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

    async def current(self) -> str:
        """Return the id; see `ports.generation.Generation`. Raises `Unavailable` without one."""
        now = self._clock()
        if now - self._asked_at >= ASK_SECONDS:
            rows = await self._session.run(_CURRENT)
            if not rows:
                raise Unavailable("the keyspace has no generation: run `chat4all migrate`")
            ((self._known,),) = rows
            self._asked_at = now
        return self._known
