"""Ending an erased user's memberships, and who owns a group next; the rules: `domain.roles`."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, case, delete, exists, func, select

from chat4all.adapters.sql import conversation_rows as rows
from chat4all.adapters.sql.audit import append_audit_entry
from chat4all.adapters.sql.outbox import Note
from chat4all.adapters.sql.tables import conversations, members, users
from chat4all.adapters.sql.types import ByBytes
from chat4all.domain.acting import Actor
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import ConversationType, Role
from chat4all.ports.outbox import Subject

_MEMBERSHIPS = (
    select(members.c.conversation_id, members.c.role, conversations.c.type)
    .join(conversations, conversations.c.conversation_id == members.c.conversation_id)
    .where(members.c.username == bindparam("username"))
    .order_by(ByBytes(members.c.conversation_id))
)
_LOCK_CONVERSATIONS = (
    select(conversations.c.conversation_id)
    .where(conversations.c.conversation_id.in_(bindparam("groups", expanding=True)))
    .order_by(ByBytes(conversations.c.conversation_id))
    .with_for_update()
)
_OF_OTHERS = and_(
    members.c.conversation_id.in_(bindparam("groups", expanding=True)),
    members.c.username != bindparam("leaving"),
)
_WITH_OTHERS = select(members.c.conversation_id).where(_OF_OTHERS).distinct()
_RANKED = (
    select(
        members.c.conversation_id,
        members.c.username,
        members.c.role,
        func.row_number()
        .over(
            partition_by=members.c.conversation_id,
            order_by=(
                case({Role.OWNER.value: 0, Role.ADMIN.value: 1}, value=members.c.role, else_=2),
                # Earlier releases noted no time: those members joined first. Where NULL is sorted
                # differs between databases.
                ByBytes(func.coalesce(members.c.joined_at, "")),
                ByBytes(members.c.username),
            ),
        )
        .label("place"),
    )
    .join(users, users.c.username == members.c.username)
    .where(_OF_OTHERS, users.c.disabled_at.is_(None))
    .subquery()
)
_SUCCESSORS = select(_RANKED.c.conversation_id, _RANKED.c.username, _RANKED.c.role).where(
    _RANKED.c.place == 1
)
_LEAVE_ALL = delete(members).where(members.c.username == bindparam("leaving"))

_owners = members.alias("owners")
_WITHOUT_OWNER = (
    select(members.c.conversation_id)
    .join(conversations, conversations.c.conversation_id == members.c.conversation_id)
    .where(
        members.c.username == bindparam("username"),
        conversations.c.type == ConversationType.GROUP.value,
        ~exists().where(
            _owners.c.conversation_id == members.c.conversation_id,
            _owners.c.role == Role.OWNER.value,
        ),
    )
    .order_by(ByBytes(members.c.conversation_id))
)


def leave_everything(connection: Connection, username: Username, actor: Actor) -> list[Note]:
    """End all memberships of a user, because of `actor`, and return the notes for the outbox."""
    joined = connection.execute(_MEMBERSHIPS, {"username": username}).all()
    owned = [
        ConversationId(conversation)
        for conversation, role, kind in joined
        if kind == ConversationType.GROUP and role == Role.OWNER
    ]
    if owned:
        _hand_on(connection, owned, username, actor)
    connection.execute(_LEAVE_ALL, {"leaving": username})
    return _notes([conversation for conversation, _, _ in joined])


def inherit_ownerless(connection: Connection, username: Username, actor: Actor) -> list[Note]:
    """Make a user, who can sign in again, the owner of those of their groups that have none."""
    groups = connection.execute(_WITHOUT_OWNER, {"username": username}).scalars().all()
    if groups:
        connection.execute(_LOCK_CONVERSATIONS, {"groups": groups}).all()
    for group in groups:
        _inherit(connection, ConversationId(group), username, actor)
    return _notes(groups)


def _hand_on(
    connection: Connection, owned: list[ConversationId], leaving: Username, actor: Actor
) -> None:
    """Give each group that its leaver owns an owner who can sign in; delete those left empty."""
    connection.execute(_LOCK_CONVERSATIONS, {"groups": owned}).all()
    values = {"groups": owned, "leaving": leaving}
    with_others = set(connection.execute(_WITH_OTHERS, values).scalars())
    for group in owned:
        if group not in with_others:
            rows.delete_conversation(connection, group)
            append_audit_entry(connection, actor, "conversation-deleted", conversation=group)
    for group, successor, role in connection.execute(_SUCCESSORS, values).all():
        if role != Role.OWNER:
            _inherit(connection, group, successor, actor)


def _inherit(
    connection: Connection, group: ConversationId, successor: Username, actor: Actor
) -> None:
    rows.set_role(connection, group, successor, Role.OWNER)
    append_audit_entry(
        connection,
        actor,
        "role-inherited",
        conversation=group,
        username=successor,
        details={"role": Role.OWNER.value},
    )


def _notes(conversations: Sequence[str]) -> list[Note]:
    return [Note(Subject.MEMBERS, conversation) for conversation in conversations]
