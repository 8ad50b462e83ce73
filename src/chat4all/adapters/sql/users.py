"""Users in SQL."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Boolean, Connection, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql.audit import append_audit_entry, rename_in_audit
from chat4all.adapters.sql.leaving import leave_everything
from chat4all.adapters.sql.outbox import Note, write_noting
from chat4all.adapters.sql.tables import SEARCH_KEY_MAX, members, sessions, users
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import AlreadyTaken, NotFound
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import User, UserChanges
from chat4all.domain.text import casefold, search_key
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
_FOR_UPDATE = _USER.with_for_update()
_NAME = select(users.c.username).where(users.c.username == bindparam("username"))
_FIND = (
    select(*_COLUMNS)
    .where(
        _NOT_ERASED,
        or_(bindparam("also_disabled", type_=Boolean), users.c.disabled_at.is_(None)),
        users.c.username > bindparam("after"),
        or_(
            users.c.username.like(bindparam("begins"), escape="\\"),
            users.c.display_key.like(bindparam("begins"), escape="\\"),
        ),
    )
    .order_by(users.c.username)
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
_END_SESSIONS = delete(sessions).where(
    sessions.c.username == bindparam("who"), sessions.c.session_id != bindparam("kept")
)


class SqlUsers:
    """The ports of `ports.users`. The tables' keys decide every race.

    `audited`: the caller is an operator, and every change gets an entry in the audit.
    """

    def __init__(self, database: Transactions, *, audited: bool = False) -> None:
        self._database = database
        self._audited = audited

    async def add_user(self, user: User, password_hash: bytes) -> None:
        """Create a user; see `ports.users.Registrations`."""
        row = {
            "username": user.username,
            "email": user.email,
            "email_key": casefold(user.email),
            "password_hash": password_hash,
            "created_at": user.created_at,
            **_display_names(user.display_name),
        }

        def add(connection: Connection) -> Sequence[Note]:
            connection.execute(_ADD, row)
            self._audit(connection, "user-created", user.username)
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
        self, username: Username, changes: UserChanges, keep: SessionId | None = None
    ) -> User:
        """Change a user; see `ports.users.Users`."""
        values: dict[str, Any] = {}
        if changes.display_name is not None:
            values |= _display_names(changes.display_name)
        if changes.email is not None:
            values |= {"email": changes.email, "email_key": casefold(changes.email)}
        if changes.password_hash is not None:
            values["password_hash"] = changes.password_hash

        def change(connection: Connection) -> Sequence[Note]:
            _lock(connection, username)
            if values:
                connection.execute(
                    update(users).where(users.c.username == username).values(**values)
                )
            notes = [Note(Subject.USER, username)]
            if changes.password_hash is not None:
                notes += _end_sessions(connection, username, keep)
                self._audit(connection, "password-changed", username)
            return notes

        try:
            await write_noting(self._database, change)
        except IntegrityError as error:
            raise _email_in_use() from error
        changed = await self.user(username)
        if changed is None:
            raise _no_such_user()
        return changed

    async def disable_user(self, username: Username, *, disabled: bool = True) -> None:
        """Keep a user from signing in and end their sessions, or let them in again.

        For an operator. Raises `NotFound`.
        """
        since = now_utc() if disabled else None

        def disable(connection: Connection) -> Sequence[Note]:
            _lock(connection, username)
            connection.execute(
                update(users).where(users.c.username == username).values(disabled_at=since)
            )
            self._audit(connection, "user-disabled" if disabled else "user-enabled", username)
            notes = [Note(Subject.USER, username)]
            return [*notes, *_end_sessions(connection, username)] if disabled else notes

        await write_noting(self._database, disable)

    async def erase_user(self, username: Username) -> None:
        """Erase a user; see `ports.users.Users`."""
        alias = f"deleted-{secrets.token_hex(16)}"

        def erase(connection: Connection) -> Sequence[Note]:
            _lock(connection, username)
            left = leave_everything(connection, username)
            ended = _end_sessions(connection, username)
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
            rename_in_audit(connection, username, alias)
            self._audit(connection, "user-erased", alias)
            return [Note(Subject.ALIAS, username), *left, *ended]

        await write_noting(self._database, erase)

    async def aliases(self, usernames: Sequence[Username]) -> Mapping[Username, Username]:
        """Return the aliases of erased users; see `ports.users.Aliases`."""
        if not usernames:
            return {}
        rows = await self._database.read(
            lambda connection: connection.execute(_ALIASES, {"names": list(usernames)}).all()
        )
        return {username: Username(alias) for username, alias in rows}

    def _audit(self, connection: Connection, action: str, username: str) -> None:
        if self._audited:
            append_audit_entry(connection, None, action, username=username)


def _user(row: Any) -> User:
    username, email, created_at, display_name, disabled_at = row
    return User(username, email, created_at, display_name, is_disabled=disabled_at is not None)


def _display_names(display_name: str | None) -> dict[str, str | None]:
    name = display_name or None
    return {"display_name": name, "display_key": name and search_key(name, SEARCH_KEY_MAX)}


def _lock(connection: Connection, username: Username) -> None:
    if connection.execute(_FOR_UPDATE, {"username": username}).first() is None:
        raise _no_such_user()


def _no_such_user() -> NotFound:
    return NotFound("no such user")


def _email_in_use() -> AlreadyTaken:
    return AlreadyTaken("this e-mail address is in use")


def _end_sessions(
    connection: Connection, username: Username, keep: SessionId | None = None
) -> list[Note]:
    sessions = connection.execute(_SESSIONS, {"username": username}).scalars()
    ended = [session for session in sessions if session != keep]
    connection.execute(_END_SESSIONS, {"who": username, "kept": keep or ""})
    return [Note(Subject.SESSION, session) for session in ended]
