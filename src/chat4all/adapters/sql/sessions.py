"""Sessions in SQL."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql.audit import SESSION, SESSION_ENDED, append_audit_entry
from chat4all.adapters.sql.outbox import Note, Now, write_noting
from chat4all.adapters.sql.steady_clock import SteadyClock
from chat4all.adapters.sql.tables import sessions, users
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.types import ByBytes
from chat4all.domain.acting import Actor, current_actor
from chat4all.domain.errors import AlreadyTaken, NotFound, NotSignedIn, Unavailable
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import Session
from chat4all.domain.refresh_tokens import REPEAT_SECONDS, RefreshHashes
from chat4all.ports.outbox import Subject
from chat4all.ports.sessions import Rotation

_START = insert(sessions)
_COLUMNS = (
    sessions.c.session_id,
    sessions.c.username,
    sessions.c.expires_at,
    func.coalesce(sessions.c.created_at, 0),
    func.coalesce(sessions.c.used_at, 0),
    func.coalesce(sessions.c.device, ""),
)
_GET = select(*_COLUMNS).where(
    sessions.c.session_id == bindparam("session"), sessions.c.expires_at > bindparam("now")
)
_GET_EACH = select(*_COLUMNS).where(
    sessions.c.session_id.in_(bindparam("asked", expanding=True)),
    sessions.c.expires_at > bindparam("now"),
)
_OF_USER = (
    select(*_COLUMNS)
    .where(sessions.c.username == bindparam("who"), sessions.c.expires_at > bindparam("now"))
    .order_by(func.coalesce(sessions.c.used_at, 0).desc(), ByBytes(sessions.c.session_id))
)
_OF_FAMILY = (
    select(*_COLUMNS, sessions.c.refresh_hash, sessions.c.refreshed_at, Now())
    .where(sessions.c.family_hash == bindparam("family"))
    .with_for_update()
)
_ROTATE = (
    update(sessions)
    .where(sessions.c.session_id == bindparam("session"))
    .values(
        refresh_hash=bindparam("token"),
        refreshed_at=Now(),
        used_at=bindparam("now"),
        expires_at=bindparam("until"),
    )
)
_END = delete(sessions).where(sessions.c.session_id == bindparam("session"))
_SWEEP = delete(sessions).where(
    sessions.c.session_id.in_(
        select(sessions.c.session_id)
        .where(sessions.c.expires_at <= bindparam("now"))
        .limit(bindparam("limit"))
    )
)
_TOO_MANY = (
    select(sessions.c.session_id)
    .where(sessions.c.username == bindparam("who"))
    .order_by(func.coalesce(sessions.c.used_at, 0).desc(), ByBytes(sessions.c.session_id))
    .offset(bindparam("kept"))
)
_MAY_SIGN_IN = select(users.c.password_hash).where(
    users.c.username == bindparam("who"), users.c.alias.is_(None), users.c.disabled_at.is_(None)
)

SESSIONS_MAX = 1_000
"""Of one user. One more ends the least recently used one."""

SWEEP_EVERY_SECONDS = 60.0
SWEEP_MAX = 10_000
"""Sessions that one sweep deletes: many more than a process can start in a minute."""


class SqlSessions:
    """The port `ports.sessions.Sessions`. Now and then a sign-in sweeps expired ones."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._swept = -inf
        self._clock = SteadyClock()
        self._callers_clock = SteadyClock()
        for clock in (self._clock, self._callers_clock):
            clock.is_steady(time.time())

    async def start(
        self, session: Session, refresh: RefreshHashes, password_hash: bytes | None = None
    ) -> None:
        """Store a new session; see `ports.sessions.Sessions`."""
        await self._sweep()
        row = {
            "session_id": session.session_id,
            "username": session.username,
            "expires_at": session.expires_at,
            "created_at": session.created_at,
            "used_at": session.used_at,
            "device": session.device,
            "family_hash": refresh.family,
            "refresh_hash": refresh.token,
        }

        actor = replace(current_actor(session.username), session_id=session.session_id)

        def start(connection: Connection) -> Sequence[Note]:
            # In the transaction: a concurrent change of the password ends this session too.
            now = connection.execute(_MAY_SIGN_IN, {"who": session.username}).scalar()
            if now is None or (password_hash is not None and password_hash != now):
                raise NotSignedIn("wrong username or password")
            values = {"who": session.username, "kept": SESSIONS_MAX - 1}
            ended = connection.execute(_TOO_MANY, values).scalars().all()
            if ended:
                connection.execute(_END, [{"session": one} for one in ended])
            for one in ended:
                _note_end(connection, actor, session.username, one, "too many sessions")
            connection.execute(_START, row)
            append_audit_entry(connection, actor, "signed-in", username=session.username)
            return (_of(session.session_id), *map(_of, ended))

        try:
            await write_noting(self._database, start)
        except IntegrityError as error:
            raise AlreadyTaken("this session was started before") from error

    async def get(self, session: SessionId) -> Session | None:
        """Return the session; see `ports.sessions.LiveSessions`."""
        values = {"session": session, "now": int(time.time())}
        row = await self._database.read(lambda connection: connection.execute(_GET, values).first())
        return None if row is None else Session(*row)

    async def get_each(self, sessions: Sequence[SessionId]) -> Mapping[SessionId, Session]:
        """Return those that there are; see `ports.sessions.LiveSessions`."""
        values = {"asked": list(sessions), "now": int(time.time())}
        rows = await self._database.read(
            lambda connection: connection.execute(_GET_EACH, values).all()
        )
        return {row.session_id: Session(*row) for row in rows}

    async def rotate(
        self,
        spent: RefreshHashes,
        token: bytes,
        now: int,
        expires_at: int,
        others: Sequence[bytes] = (),
    ) -> Rotation:
        """Replace a spent token by the next one; see `ports.sessions.Sessions`."""
        rotation = Rotation()
        actor = current_actor()
        is_steady = self._callers_clock.is_steady(now)

        def rotate(connection: Connection) -> Sequence[Note]:
            nonlocal rotation
            rotation = Rotation()
            row: Any = connection.execute(_OF_FAMILY, {"family": spent.family}).first()
            if row is None:
                return ()
            *columns, kept, refreshed_at, database_now = row
            session = Session(*columns)
            if session.expires_at <= now:
                if not is_steady:
                    raise Unavailable(
                        "the clock has jumped: whether this session has ended is not known yet"
                    )
                return ()
            # The spent token is the one before the last, whose answer was lost: perhaps of this
            # very transaction, when it was committed as the connection was lost.
            if kept in (token, *others) and _is_recent(refreshed_at, database_now):
                rotation = Rotation(session, token=kept)
                return ()
            if kept != spent.token:
                connection.execute(_END, {"session": session.session_id})
                why = "a spent refresh token came again"
                by = actor.or_user(session.username)
                _note_end(connection, by, session.username, session.session_id, why)
                rotation = Rotation(ended=session.session_id)
                return (_of(session.session_id),)
            new = {"session": session.session_id, "token": token, "now": now, "until": expires_at}
            connection.execute(_ROTATE, new)
            rotation = Rotation(replace(session, used_at=now, expires_at=expires_at), token=token)
            return (_of(session.session_id),)

        await write_noting(self._database, rotate)
        return rotation

    async def of_user(self, username: Username) -> Sequence[Session]:
        """Return a user's sessions; see `ports.sessions.Sessions`."""
        values = {"who": username, "now": int(time.time())}
        rows = await self._database.read(
            lambda connection: connection.execute(_OF_USER, values).all()
        )
        return [Session(*row) for row in rows]

    async def end(
        self, session: SessionId, username: Username | None = None, by: SessionId | None = None
    ) -> None:
        """End a session; see `ports.sessions.Sessions`."""
        actor = current_actor()

        def end(connection: Connection) -> Sequence[Note]:
            now = int(time.time())
            asking = {"session": by, "now": now}
            if by is not None and connection.execute(_GET, asking).first() is None:
                raise NotSignedIn("this session has ended")
            row = connection.execute(_GET, {"session": session, "now": now}).first()
            if username is not None and (row is None or row.username != username):
                raise NotFound("no such session")
            connection.execute(_END, {"session": session})
            if row is not None:
                _note_end(connection, actor.or_user(row.username), row.username, session)
            return (_of(session),)

        await write_noting(self._database, end)

    async def _sweep(self) -> None:
        # In a transaction of its own: sweeping and starting concurrently would conflict.
        if time.monotonic() - self._swept < SWEEP_EVERY_SECONDS:
            return
        self._swept = time.monotonic()
        now = time.time()
        # An expired session is refused anyway. One that seems expired by a clock that is ahead for
        # a moment is good again afterwards.
        if not self._clock.is_steady(now):
            return
        old = {"now": int(now), "limit": SWEEP_MAX}
        await self._database.write(lambda connection: connection.execute(_SWEEP, old).rowcount)


def _note_end(
    connection: Connection, actor: Actor, username: Username, session: SessionId, why: str = ""
) -> None:
    details = {SESSION: session} | ({"why": why} if why else {})
    append_audit_entry(connection, actor, SESSION_ENDED, username=username, details=details)


def _is_recent(refreshed_at: int | None, now: int) -> bool:
    # Both by the database's clock, in milliseconds, which may be set back.
    return refreshed_at is not None and abs(now - refreshed_at) < REPEAT_SECONDS * 1000


def _of(session: SessionId) -> Note:
    return Note(Subject.SESSION, session)
