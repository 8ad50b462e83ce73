"""Sign-ins in SQL."""

import time
from math import inf

from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql.outbox import write_noted
from chat4all.adapters.sql.tables import sessions
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import AlreadyTaken, NotFound
from chat4all.domain.ids import SessionId
from chat4all.domain.people import Session
from chat4all.ports import Subject

_START = insert(sessions)
_GET = select(sessions.c.session_id, sessions.c.username, sessions.c.expires_at).where(
    sessions.c.session_id == bindparam("session"), sessions.c.expires_at > bindparam("now")
)
_END = delete(sessions).where(sessions.c.session_id == bindparam("session"))
_SWEEP = delete(sessions).where(
    sessions.c.session_id.in_(
        select(sessions.c.session_id)
        .where(sessions.c.expires_at <= bindparam("now"))
        .limit(bindparam("limit"))
    )
)

SWEEP_EVERY_SECONDS = 60.0
SWEEP_MAX = 10_000
"""Sessions that one sweep takes away: many more than a process can start in a minute."""


class SqlSessions:
    """The port `Sessions`. Now and then a sign-in sweeps those that have expired."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._swept = -inf

    async def start(self, session: Session) -> None:
        """Keep a new session; see `ports.Sessions`.

        Raises `AlreadyTaken` when the id is in use, `NotFound` when the user is not there.
        """
        await self._sweep()
        row = {
            "session_id": session.session_id,
            "username": session.username,
            "expires_at": session.expires_at,
        }

        def start(connection: Connection) -> None:
            connection.execute(_START, row)

        try:
            await write_noted(self._database, start, Subject.SESSION, session.session_id)
        except IntegrityError as error:
            if await self.get(session.session_id) is not None:
                raise AlreadyTaken("this session was started before") from error
            raise NotFound("no such user") from error

    async def get(self, session: SessionId) -> Session | None:
        """Return the session; see `ports.Sessions`."""
        wanted = {"session": session, "now": int(time.time())}
        row = await self._database.read(lambda connection: connection.execute(_GET, wanted).first())
        return None if row is None else Session(*row)

    async def end(self, session: SessionId) -> None:
        """End a session; see `ports.Sessions`."""

        def end(connection: Connection) -> None:
            connection.execute(_END, {"session": session})

        await write_noted(self._database, end, Subject.SESSION, session)

    async def _sweep(self) -> None:
        # In a transaction of its own: two that sweep and start at once would disturb each other.
        if time.monotonic() - self._swept < SWEEP_EVERY_SECONDS:
            return
        self._swept = time.monotonic()
        old = {"now": int(time.time()), "limit": SWEEP_MAX}
        await self._database.write(lambda connection: connection.execute(_SWEEP, old).rowcount)
