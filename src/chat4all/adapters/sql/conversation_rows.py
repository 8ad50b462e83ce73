"""Rows of conversations and members, read and written in the current transaction."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    union_all,
    update,
)
from sqlalchemy.sql import Select

from chat4all.adapters.sql.file_rows import drop_uses_of
from chat4all.adapters.sql.tables import conversations, members, private_pairs, users
from chat4all.adapters.sql.types import ByBytes
from chat4all.domain.errors import NotFound, NotSignedIn
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation, ConversationChanges, ConversationType, Role
from chat4all.domain.roles import NO_SUCH_CONVERSATION, Standing
from chat4all.domain.times import now_utc

# Built once: building a query takes longer than running it.
_USERNAMES = select(users.c.username).where(
    users.c.username.in_(bindparam("names", expanding=True)), users.c.alias.is_(None)
)
_INSERT_CONVERSATION = insert(conversations)
_CONVERSATION = select(
    conversations.c.type,
    conversations.c.title,
    conversations.c.created_at,
    conversations.c.metadata,
).where(
    conversations.c.conversation_id == bindparam("conversation"),
    conversations.c.deleted_at.is_(None),
)
_INSERT_MEMBERS = insert(members)
_MEMBERS = (
    select(members.c.username, members.c.role)
    .where(members.c.conversation_id == bindparam("conversation"))
    .order_by(ByBytes(members.c.username))
)
# Changes of one conversation queue for this row: the roles that their rules depend on do not change
# until the transaction ends.
_LOCKED_TYPE = (
    select(conversations.c.type)
    .where(
        conversations.c.conversation_id == bindparam("conversation"),
        conversations.c.deleted_at.is_(None),
    )
    .with_for_update()
)
_ROLES = (
    select(users.c.username, members.c.role, users.c.disabled_at)
    .select_from(
        users.outerjoin(
            members,
            and_(
                members.c.username == users.c.username,
                members.c.conversation_id == bindparam("conversation"),
            ),
        )
    )
    .where(users.c.username.in_(bindparam("names", expanding=True)))
)
_COUNT = select(func.count()).where(members.c.conversation_id == bindparam("conversation"))
_OTHER_OWNERS = (
    _COUNT.select_from(members.join(users, users.c.username == members.c.username))
    .where(members.c.role == Role.OWNER.value, users.c.disabled_at.is_(None))
    .where(members.c.username != bindparam("besides"))
)
_ONE_MEMBER = (
    members.c.conversation_id == bindparam("conversation"),
    members.c.username == bindparam("who"),
)
_OWNERS = (
    select(members.c.username)
    .where(
        members.c.conversation_id == bindparam("conversation"),
        members.c.role == Role.OWNER.value,
    )
    .order_by(ByBytes(members.c.username))
)
_DEMOTE_OWNERS = (
    update(members)
    .where(
        members.c.conversation_id == bindparam("conversation"),
        members.c.role == Role.OWNER.value,
    )
    .values(role=Role.MEMBER.value)
)
_SET_ROLE = update(members).where(*_ONE_MEMBER).values(role=bindparam("new_role"))
_DELETE_MEMBER = delete(members).where(*_ONE_MEMBER)
_DELETE_MEMBERS = delete(members).where(members.c.conversation_id == bindparam("conversation"))
_DELETE_CONVERSATION = (
    update(conversations)
    .where(conversations.c.conversation_id == bindparam("conversation"))
    .values(deleted_at=bindparam("at"))
)
_INSERT_PAIR = insert(private_pairs)
_OF_PAIR = select(private_pairs.c.conversation_id).where(
    private_pairs.c.lesser == bindparam("lesser"), private_pairs.c.greater == bindparam("greater")
)

_DISABLED = select(users.c.username).where(
    users.c.username == bindparam("by"), users.c.disabled_at.is_not(None)
)

DISABLED = "this user is disabled"

_BY_VALUE = {role.value: role for role in Role}


def find_conversation(connection: Connection, conversation: ConversationId) -> Conversation | None:
    """Return a conversation with its members, if there is one."""
    row = connection.execute(_CONVERSATION, {"conversation": conversation}).first()
    if row is None:
        return None
    kind, title, created_at, metadata = row
    return Conversation(
        conversation,
        ConversationType(kind),
        title,
        find_members(connection, conversation),
        created_at,
        metadata,
    )


def get_conversation(connection: Connection, conversation: ConversationId) -> Conversation:
    """Return a conversation with its members; raises `NotFound`."""
    found = find_conversation(connection, conversation)
    if found is None:
        raise NotFound(NO_SUCH_CONVERSATION)
    return found


def find_of_pair(
    connection: Connection, lesser: Username, greater: Username
) -> Conversation | None:
    """Return the private conversation of two users, named in order, if there is one."""
    pair = {"lesser": lesser, "greater": greater}
    conversation = connection.execute(_OF_PAIR, pair).scalar()
    return None if conversation is None else find_conversation(connection, conversation)


def find_members(connection: Connection, conversation: ConversationId) -> dict[Username, Role]:
    """Return the members by name, with their roles."""
    rows = connection.execute(_MEMBERS, {"conversation": conversation}).all()
    return {username: _BY_VALUE[role] for username, role in rows}


def first_members(
    connection: Connection, conversations: Sequence[ConversationId], most: int
) -> Iterator[tuple[ConversationId, Username, Role]]:
    """Yield at most so many members of each conversation, the first by name."""
    keys = {f"keys_{number}": key for number, key in enumerate(conversations)}
    rows = connection.execute(_first_members(len(keys), most), keys).all()
    return ((conversation, username, _BY_VALUE[role]) for conversation, username, role in rows)


@lru_cache(256)
def _first_members(count: int, most: int) -> Select[Any]:
    """Return a query for the first members of so many conversations, a few of each.

    A window function would read every member. Building the query takes longer than running it.
    """
    each = [
        select(members.c.conversation_id, members.c.username, members.c.role)
        .where(members.c.conversation_id == bindparam(f"keys_{number}"))
        .order_by(ByBytes(members.c.username))
        .limit(most)
        .subquery()
        for number in range(count)
    ]
    return select(union_all(*(select(one) for one in each)).subquery())


def find_members_of(
    connection: Connection, conversations: Sequence[ConversationId], most: int
) -> dict[ConversationId, dict[Username, Role]]:
    """Return the members of each of these that has at most so many, by name, with their roles."""
    found: dict[ConversationId, dict[Username, Role]] = {key: {} for key in conversations}
    for conversation, username, role in first_members(connection, [*found], most + 1):
        found[conversation][username] = role
    return {key: dict(sorted(some.items())) for key, some in found.items() if len(some) <= most}


def count_members(connection: Connection, conversation: ConversationId) -> int:
    """Return how many members a conversation has."""
    return int(connection.execute(_COUNT, {"conversation": conversation}).scalar_one())


def find_standing(
    connection: Connection,
    conversation: ConversationId,
    by: Username | None,
    username: Username | None,
) -> Standing:
    """Lock a conversation, and return what the rules of `domain.roles` depend on.

    `by` is the caller, None for an operator; `username` is the member concerned, if any. Raises
    `NotFound` when there is no such conversation, `NotSignedIn` when the caller is disabled.
    """
    kind = connection.execute(_LOCKED_TYPE, {"conversation": conversation}).scalar()
    if kind is None:
        raise NotFound(NO_SUCH_CONVERSATION)
    names = [name for name in (by, username) if name is not None]
    rows = connection.execute(_ROLES, {"conversation": conversation, "names": names}).all()
    roles = {name: _BY_VALUE[role] for name, role, _ in rows if role is not None}
    disabled = {name for name, _, since in rows if since is not None}
    if by in disabled:
        raise NotSignedIn(DISABLED)
    besides = {"conversation": conversation, "besides": username or ""}
    return Standing(
        ConversationType(kind),
        Role.OWNER if by is None else roles.get(by),
        None if username is None else roles.get(username),
        connection.execute(_OTHER_OWNERS, besides).scalar_one(),
        other_is_disabled=username in disabled,
    )


def check_enabled(connection: Connection, by: Username) -> None:
    """Raise `NotSignedIn` when the caller was disabled meanwhile."""
    if connection.execute(_DISABLED, {"by": by}).first() is not None:
        raise NotSignedIn(DISABLED)


def unknown_of(connection: Connection, usernames: Sequence[Username]) -> list[Username]:
    """Return those of these names that no user has."""
    # One query: a group may have thousands of members.
    existing = set(connection.execute(_USERNAMES, {"names": usernames}).scalars())
    return [username for username in usernames if username not in existing]


def insert_conversation(connection: Connection, conversation: Conversation, joined_at: str) -> None:
    """Insert a conversation and its members."""
    connection.execute(
        _INSERT_CONVERSATION,
        {
            "conversation_id": conversation.conversation_id,
            "type": conversation.type.value,
            "title": conversation.title,
            "metadata": dict(conversation.metadata),
            "created_at": conversation.created_at,
        },
    )
    connection.execute(
        _INSERT_MEMBERS,
        [
            _member(conversation.conversation_id, username, role, joined_at)
            for username, role in conversation.members.items()
        ],
    )


def insert_pair(
    connection: Connection, conversation: ConversationId, lesser: Username, greater: Username
) -> None:
    """Record a conversation as the one of two users, whose names are sorted."""
    connection.execute(
        _INSERT_PAIR, {"lesser": lesser, "greater": greater, "conversation_id": conversation}
    )


def insert_member(
    connection: Connection,
    conversation: ConversationId,
    username: Username,
    role: Role,
    joined_at: str,
) -> None:
    """Insert a member."""
    connection.execute(_INSERT_MEMBERS, _member(conversation, username, role, joined_at))


def demote_owners(connection: Connection, conversation: ConversationId) -> Sequence[Username]:
    """Make every owner a member, and return them."""
    owners = connection.execute(_OWNERS, {"conversation": conversation}).scalars().all()
    connection.execute(_DEMOTE_OWNERS, {"conversation": conversation})
    return [Username(name) for name in owners]


def set_role(
    connection: Connection, conversation: ConversationId, username: Username, role: Role
) -> None:
    """Give a member another role."""
    connection.execute(
        _SET_ROLE, {"conversation": conversation, "who": username, "new_role": role.value}
    )


def delete_member(connection: Connection, conversation: ConversationId, username: Username) -> None:
    """Remove a member."""
    connection.execute(_DELETE_MEMBER, {"conversation": conversation, "who": username})


def update_conversation(
    connection: Connection, conversation: ConversationId, changes: ConversationChanges
) -> None:
    """Change the fields that `changes` has."""
    values: dict[str, Any] = {}
    if changes.title is not None:
        values["title"] = changes.title
    if changes.metadata is not None:
        values["metadata"] = dict(changes.metadata)
    if values:
        connection.execute(
            update(conversations)
            .where(conversations.c.conversation_id == conversation)
            .values(**values)
        )


def delete_conversation(connection: Connection, conversation: ConversationId) -> None:
    """End a conversation: it has no members and no files any more, and its id stays taken."""
    drop_uses_of(connection, conversation)
    connection.execute(_DELETE_MEMBERS, {"conversation": conversation})
    connection.execute(_DELETE_CONVERSATION, {"conversation": conversation, "at": now_utc()})


def _member(
    conversation: ConversationId, username: Username, role: Role, joined_at: str
) -> dict[str, str]:
    return {
        "conversation_id": conversation,
        "username": username,
        "role": role.value,
        "joined_at": joined_at,
    }
