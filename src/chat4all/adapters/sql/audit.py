"""The audit: what operators did, and users to accounts, sessions, conversations and one another.

An entry is written in the transaction of its action; that of an export before it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import uuid_utils
from sqlalchemy import Boolean, Connection, String, bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql.outbox import Now
from chat4all.adapters.sql.tables import audit
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.types import ByBytes, Json
from chat4all.domain.acting import Actor, current_actor
from chat4all.domain.ids import ConversationId, Username

SESSION_ENDED = "session-ended"
SESSION = "session"
"""The detail that names the session which ended."""

_NOTE = insert(audit).values(at=Now())
_NEWEST = (
    select(
        audit.c.at,
        audit.c.actor,
        audit.c.action,
        audit.c.conversation_id,
        audit.c.username,
        audit.c.details,
        audit.c.session_id,
        audit.c.address,
        audit.c.operator,
    )
    .where(
        or_(
            bindparam("all", type_=Boolean),
            audit.c.actor == bindparam("who", type_=String),
            audit.c.username == bindparam("who", type_=String),
        )
    )
    .order_by(audit.c.at.desc(), ByBytes(audit.c.entry_id).desc())
    .limit(bindparam("limit"))
)
_ALIAS_ACTOR = (
    update(audit)
    .where(audit.c.actor == bindparam("who"))
    .values(actor=bindparam("alias"), session_id=None, address=None)
)
_ALIAS_USERNAME = (
    update(audit).where(audit.c.username == bindparam("who")).values(username=bindparam("alias"))
)
# Earlier releases named no actor where a spent refresh token ended a session.
_BLANK_NOBODYS = (
    update(audit)
    .where(
        audit.c.username == bindparam("who"),
        audit.c.actor.is_(None),
        audit.c.operator.is_(None),
    )
    .values(session_id=None, address=None)
)
_ENDED_SESSIONS = select(audit.c.entry_id, audit.c.details).where(
    audit.c.username == bindparam("who"), audit.c.action == SESSION_ENDED
)
_SET_DETAILS = (
    update(audit)
    .where(audit.c.entry_id == bindparam("entry"))
    .values(details=bindparam("left", type_=Json))
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action. `at` in milliseconds since 1970.

    Of a user there is the name, and session and address where known; of an operator the account of
    the operating system, None in what earlier releases noted.
    """

    at: int
    actor: str | None
    action: str
    conversation_id: ConversationId | None
    username: str | None
    details: Mapping[str, str]
    session_id: str | None = None
    address: str | None = None
    operator: str | None = None


def append_audit_entry(
    connection: Connection,
    actor: Actor,
    action: str,
    *,
    conversation: ConversationId | None = None,
    username: str | None = None,
    details: Mapping[str, str] | None = None,
    entry: str | None = None,
) -> None:
    """Write an entry in the current transaction; `entry` is its id."""
    connection.execute(
        _NOTE,
        {
            # Increasing, so that entries of one millisecond keep their order.
            "entry_id": entry or str(uuid_utils.uuid7()),
            "actor": actor.username,
            "action": action,
            "conversation_id": conversation,
            "username": username,
            "details": dict(details or {}),
            "session_id": actor.session_id,
            "address": actor.address,
            "operator": actor.operator,
        },
    )


def rename_in_audit(connection: Connection, username: Username, alias: str) -> None:
    """Replace an erased user's name by their alias, and blank their sessions and addresses.

    In the current transaction.
    """
    names = {"who": username, "alias": alias}
    connection.execute(_ALIAS_ACTOR, names)
    connection.execute(_BLANK_NOBODYS, {"who": username})
    ended = [
        {"entry": entry, "left": {name: details[name] for name in details if name != SESSION}}
        for entry, details in connection.execute(_ENDED_SESSIONS, {"who": username})
        if SESSION in details
    ]
    if ended:
        connection.execute(_SET_DETAILS, ended)
    connection.execute(_ALIAS_USERNAME, names)


class SqlAudit:
    """Reads the audit for operators, and notes what they read themselves."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def newest(self, limit: int, who: str | None = None) -> Sequence[AuditEntry]:
        """Return the newest entries, newest first; with `who`, those about or by this user."""
        values = {"all": who is None, "who": who, "limit": limit}
        rows = await self._database.read(
            lambda connection: connection.execute(_NEWEST, values).all()
        )
        return [AuditEntry(*row) for row in rows]

    async def note(self, action: str, username: Username) -> None:
        """Write an entry of what changes nothing in the database."""
        actor, entry = current_actor(), str(uuid_utils.uuid7())

        def note(connection: Connection) -> None:
            append_audit_entry(connection, actor, action, username=username, entry=entry)

        # The key is violated where the connection was lost at the commit: it is there.
        with suppress(IntegrityError):
            await self._database.write(note)
