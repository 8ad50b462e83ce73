"""Users in SQL."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Boolean, Connection, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql.audit import append_audit_entry, rename_in_audit
from chat4all.adapters.sql.creations import forget_creations, keep_creation
from chat4all.adapters.sql.file_rows import drop_files_of
from chat4all.adapters.sql.inheriting import inherit_ownerless, leave_everything
from chat4all.adapters.sql.outbox import Note, write_noting
from chat4all.adapters.sql.tables import SEARCH_KEY_MAX, members, sessions, users
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.types import ByBytes
from chat4all.domain.acting import current_actor
from chat4all.domain.creations import CreationKey
from chat4all.domain.errors import AlreadyTaken, NotAllowed, NotFound, NotSignedIn
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import User, UserChanges
from chat4all.domain.text import casefold, is_name, search_key
from chat4all.domain.times import now_utc
from chat4all.ports.outbox import Subject

# Built once: building a query takes longer than running it.
_ADD = insert(users)
_COLUMNS = (
    users.c.username,
    users.c.email,
    users.c.created_at,
    users.c.display_name,
    users.c.disabled_at,
)
_NOT_ERASED = users.c.alias.is_(None)
_USER = select(*_COLUMNS).where(users.c.username == bindparam("username"), _NOT_ERASED)
_FOR_UPDATE = (
    select(users.c.password_hash)
    .where(users.c.username == bindparam("username"), _NOT_ERASED)
    .with_for_update()
)
_NAME = select(users.c.username).where(users.c.username == bindparam("username"))
_FIND = (
    select(*_COLUMNS)
    .where(
        _NOT_ERASED,
        or_(bindparam("also_disabled", type_=Boolean), users.c.disabled_at.is_(None)),
        ByBytes(users.c.username) > bindparam("after"),
        or_(
            users.c.username.like(bindparam("begins"), escape="\\"),
            users.c.display_key.like(bindparam("begins"), escape="\\"),
        ),
    )
    .order_by(ByBytes(users.c.username))
    .limit(bindparam("limit"))
)
_THEIRS, _OWN = members.alias(), members.alias()
_FIND_CONTACTS = _FIND.where(
    users.c.username.in_(
        select(_THEIRS.c.username)
        .join(_OWN, _OWN.c.conversation_id == _THEIRS.c.conversation_id)
        .where(_OWN.c.username == bindparam("viewer"))
    )
)
_PASSWORD_HASH = select(users.c.password_hash).where(
    users.c.username == bindparam("username"), _NOT_ERASED, users.c.disabled_at.is_(None)
)
_REHASH = (
    update(users)
    .where(users.c.username == bindparam("who"), users.c.password_hash == bindparam("known"))
    .values(password_hash=bindparam("new"))
)
_ALIASES = select(users.c.username, users.c.alias).where(
    users.c.username.in_(bindparam("names", expanding=True)), users.c.alias.is_not(None)
)

_SESSIONS = select(sessions.c.session_id).where(sessions.c.username == bindparam("username"))
_OWN_SESSION = _SESSIONS.where(sessions.c.session_id == bindparam("session"))
_END_SESSIONS = delete(sessions).where(
    sessions.c.username == bindparam("who"), sessions.c.session_id != bindparam("kept")
)


class SqlUsers:
    """The ports of `ports.users`. The tables' keys decide every race."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def add_user(
        self, user: User, password_hash: bytes, key: CreationKey | None = None
    ) -> None:
        """Create a user; see `ports.users.Registrations`."""
        row = {
            "username": user.username,
            "email": user.email,
            "email_key": casefold(user.email),
            "password_hash": password_hash,
            "created_at": user.created_at,
            **_display_names(user.display_name),
        }

        actor = current_actor().or_user(user.username)

        def add(connection: Connection) -> Sequence[Note]:
            connection.execute(_ADD, row)
            keep_creation(connection, key, user)
            append_audit_entry(connection, actor, "user-created", username=user.username)
            return (Note(Subject.USER, user.username),)

        try:
            await write_noting(self._database, add)
        except IntegrityError as error:
            holder = await self._database.read(
                lambda connection: connection.execute(_NAME, {"username": user.username}).first()
            )
            if holder is not None:
                raise AlreadyTaken("this username is taken") from error
            raise _email_in_use() from error

    async def user(self, username: Username) -> User | None:
        """Return a user; see `ports.users.Users`."""
        row = await self._database.read(
            lambda connection: connection.execute(_USER, {"username": username}).first()
        )
        return None if row is None else _user(row)

    async def find_users(
        self,
        prefix: str,
        limit: int,
        after: str = "",
        *,
        contacts_of: Username | None = None,
        also_disabled: bool = False,
    ) -> Sequence[User]:
        """Return users by name; see `ports.users.Users`. Operators see disabled ones too."""
        key = search_key(prefix, SEARCH_KEY_MAX)
        literal = "".join(f"\\{c}" if c in "\\%_" else c for c in key)
        values = {
            "begins": literal + "%",
            "after": after,
            "limit": limit,
            "also_disabled": also_disabled,
        }
        query = _FIND
        if contacts_of is not None:
            query, values["viewer"] = _FIND_CONTACTS, contacts_of
        rows = await self._database.read(lambda connection: connection.execute(query, values).all())
        return [_user(row) for row in rows]

    async def password_hash(self, username: Username) -> bytes | None:
        """Return a user's password hash; see `ports.users.Credentials`."""
        return await self._database.read(
            lambda connection: connection.execute(_PASSWORD_HASH, {"username": username}).scalar()
        )

    async def rehash_password(self, username: Username, known: bytes, new: bytes) -> None:
        """Store another hash; see `ports.users.Credentials`."""
        values = {"who": username, "known": known, "new": new}
        await self._database.write(lambda connection: connection.execute(_REHASH, values))

    async def change_user(
        self,
        username: Username,
        changes: UserChanges,
        keep: SessionId | None = None,
        verified: bytes | None = None,
    ) -> User:
        """Change a user; see `ports.users.Users`."""
        values: dict[str, Any] = {}
        if changes.display_name is not None:
            values |= _display_names(changes.display_name)
        if changes.email is not None:
            values |= {"email": changes.email, "email_key": casefold(changes.email)}
        if changes.password_hash is not None:
            values["password_hash"] = changes.password_hash

        actor = current_actor().or_user(username)
        changed: list[User] = []

        def change(connection: Connection) -> Sequence[Note]:
            _lock(connection, username, keep, verified)
            if profile := [name for name in ("display_name", "email") if name in values]:
                append_audit_entry(
                    connection,
                    actor,
                    "profile-changed",
                    username=username,
                    details={"fields": ",".join(profile)},
                )
            if values:
                connection.execute(
                    update(users).where(users.c.username == username).values(**values)
                )
            notes = [Note(Subject.USER, username)]
            if changes.password_hash is not None:
                ended = _end_sessions(connection, username, keep)
                notes += ended
                append_audit_entry(
                    connection,
                    actor,
                    "password-changed",
                    username=username,
                    details=_count(ended),
                )
            changed[:] = [_user(connection.execute(_USER, {"username": username}).one())]
            return notes

        try:
            await write_noting(self._database, change)
        except IntegrityError as error:
            raise _email_in_use() from error
        return changed[0]

    async def disable_user(self, username: Username, *, disabled: bool = True) -> None:
        """Keep a user from signing in and end their sessions, or let them in again.

        For an operator. Raises `NotFound`.
        """
        since = now_utc() if disabled else None
        actor = current_actor()

        def disable(connection: Connection) -> Sequence[Note]:
            _lock(connection, username)
            connection.execute(
                update(users).where(users.c.username == username).values(disabled_at=since)
            )
            ended = _end_sessions(connection, username) if disabled else []
            action = "user-disabled" if disabled else "user-enabled"
            append_audit_entry(connection, actor, action, username=username, details=_count(ended))
            inherited = [] if disabled else inherit_ownerless(connection, username, actor)
            return [Note(Subject.USER, username), *ended, *inherited]

        await write_noting(self._database, disable)

    async def erase_user(self, username: Username, session: SessionId | None = None) -> None:
        """Erase a user; see `ports.users.Users`."""
        alias = f"deleted-{secrets.token_hex(16)}"
        actor = current_actor().or_user(username)

        def erase(connection: Connection) -> Sequence[Note]:
            _lock(connection, username, session)
            left = leave_everything(connection, username, actor)
            ended = _end_sessions(connection, username)
            forget_creations(connection, username)
            drop_files_of(connection, username)
            connection.execute(
                update(users)
                .where(users.c.username == username)
                .values(
                    email="",
                    email_key=alias,
                    password_hash=b"",
                    display_name=None,
                    display_key=None,
                    alias=alias,
                )
            )
            details = {"memberships": str(len(left))} | _count(ended)
            append_audit_entry(connection, actor, "user-erased", username=username, details=details)
            rename_in_audit(connection, username, alias)
            return [Note(Subject.ALIAS, username), *left, *ended]

        await write_noting(self._database, erase)

    async def aliases(self, usernames: Sequence[Username]) -> Mapping[Username, Username]:
        """Return the aliases of erased users; see `ports.users.Aliases`."""
        # Foreign records may name what is nobody's name. A server refuses the whole question for
        # one U+0000 in it, and then nobody could read a conversation that has it.
        names = list(filter(is_name, usernames))
        if not names:
            return {}
        rows = await self._database.read(
            lambda connection: connection.execute(_ALIASES, {"names": names}).all()
        )
        return {username: Username(alias) for username, alias in rows}


def _user(row: Any) -> User:
    username, email, created_at, display_name, disabled_at = row
    return User(username, email, created_at, display_name, is_disabled=disabled_at is not None)


def _count(ended: Sequence[Note]) -> dict[str, str]:
    return {"sessions_ended": str(len(ended))} if ended else {}


def _display_names(display_name: str | None) -> dict[str, str | None]:
    name = display_name or None
    return {"display_name": name, "display_key": name and search_key(name, SEARCH_KEY_MAX)}


def _lock(
    connection: Connection,
    username: Username,
    session: SessionId | None = None,
    verified: bytes | None = None,
) -> None:
    """Lock a user, and compare what the change rests on with what is true now (EXACTNESS 19a)."""
    row = connection.execute(_FOR_UPDATE, {"username": username}).first()
    if session is not None:
        own = {"username": username, "session": session}
        if connection.execute(_OWN_SESSION, own).first() is None:
            raise NotSignedIn("this session has ended")
    if row is None:
        raise NotFound("no such user")
    if verified is not None and row.password_hash != verified:
        raise NotAllowed("the current password is another one")


def _email_in_use() -> AlreadyTaken:
    return AlreadyTaken("this e-mail address is in use")


def _end_sessions(
    connection: Connection, username: Username, keep: SessionId | None = None
) -> list[Note]:
    sessions = connection.execute(_SESSIONS, {"username": username}).scalars()
    ended = [session for session in sessions if session != keep]
    connection.execute(_END_SESSIONS, {"who": username, "kept": keep or ""})
    return [Note(Subject.SESSION, session) for session in ended]
