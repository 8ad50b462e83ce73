"""Ending an erased user's memberships; a group left without an owner gets one, or is deleted."""

from sqlalchemy import Connection, bindparam, case, delete, select

from chat4all.adapters.sql import conversation_rows as rows
from chat4all.adapters.sql.audit import append_audit_entry
from chat4all.adapters.sql.outbox import Note
from chat4all.adapters.sql.tables import conversations, members
from chat4all.domain.acting import Actor
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import ConversationType, Role
from chat4all.ports.outbox import Subject

_MEMBERSHIPS = (
    select(members.c.conversation_id, members.c.role, conversations.c.type)
    .join(conversations, conversations.c.conversation_id == members.c.conversation_id)
    .where(members.c.username == bindparam("username"))
    .order_by(members.c.conversation_id)
)
_LOCK_CONVERSATIONS = (
    select(conversations.c.conversation_id)
    .where(conversations.c.conversation_id.in_(bindparam("owned", expanding=True)))
    .order_by(conversations.c.conversation_id)
    .with_for_update()
)
_SUCCESSOR = (
    select(members.c.username, members.c.role)
    .where(
        members.c.conversation_id == bindparam("conversation"),
        members.c.username != bindparam("leaving"),
    )
    .order_by(
        case({Role.OWNER.value: 0, Role.ADMIN.value: 1}, value=members.c.role, else_=2),
        members.c.joined_at,
        members.c.username,
    )
    .limit(1)
)
_LEAVE_ALL = delete(members).where(members.c.username == bindparam("leaving"))


def leave_everything(connection: Connection, username: Username, actor: Actor) -> list[Note]:
    """End all memberships of a user, because of `actor`, and return the notes for the outbox."""
    joined = connection.execute(_MEMBERSHIPS, {"username": username}).all()
    owned = [
        ConversationId(conversation)
        for conversation, role, kind in joined
        if kind == ConversationType.GROUP and role == Role.OWNER
    ]
    if owned:
        connection.execute(_LOCK_CONVERSATIONS, {"owned": owned}).all()
    for conversation in owned:
        leaving = {"conversation": conversation, "leaving": username}
        successor = connection.execute(_SUCCESSOR, leaving).first()
        if successor is None:
            rows.delete_conversation(connection, conversation)
            append_audit_entry(connection, actor, "conversation-deleted", conversation=conversation)
        elif successor.role != Role.OWNER:
            rows.set_role(connection, conversation, successor.username, Role.OWNER)
            append_audit_entry(
                connection,
                actor,
                "role-inherited",
                conversation=conversation,
                username=successor.username,
                details={"role": Role.OWNER.value},
            )
    connection.execute(_LEAVE_ALL, {"leaving": username})
    return [Note(Subject.MEMBERS, conversation) for conversation, _, _ in joined]
