"""Sign-ins in SQL."""

import time

from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql.engine import Database
from chat4all.adapters.sql.tables import sessions
from chat4all.domain.errors import AlreadyTaken, NotFound
from chat4all.domain.ids import SessionId
from chat4all.domain.people import Session

_START = insert(sessions)
_GET = select(sessions.c.session_id, sessions.c.username, sessions.c.expires_at).where(
    sessions.c.session_id == bindparam("session")
)
_END = delete(sessions).where(sessions.c.session_id == bindparam("session"))
_SWEEP = delete(sessions).where(sessions.c.expires_at <= bindparam("now"))


class SqlSessions:
    """The port `Sessions`. A sign-in sweeps those that have expired: an index finds them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, session: Session) -> None:
        """Keep a new session; see `ports.Sessions`.

        Raises `AlreadyTaken` when the id is in use, `NotFound` when the user is not there.
        """

        def start(connection: Connection) -> None:
            connection.execute(_SWEEP, {"now": int(time.time())})
            connection.execute(
                _START,
                {
                    "session_id": session.session_id,
                    "username": session.username,
                    "expires_at": session.expires_at,
                },
            )

        try:
            await self._database.write(start)
        except IntegrityError as error:
            if await self.get(session.session_id) is not None:
                raise AlreadyTaken("this session was started before") from error
            raise NotFound("no such user") from error

    async def get(self, session: SessionId) -> Session | None:
        """Return the session; see `ports.Sessions`."""
        row = await self._database.read(
            lambda connection: connection.execute(_GET, {"session": session}).first()
        )
        return None if row is None else Session(*row)

    async def end(self, session: SessionId) -> None:
        """End a session; see `ports.Sessions`."""
        await self._database.write(
            lambda connection: connection.execute(_END, {"session": session}).rowcount
        )
