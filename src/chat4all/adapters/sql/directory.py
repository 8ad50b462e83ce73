"""Conversations and members in SQL."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql.audit import note_done
from chat4all.adapters.sql.outbox import Note, write_noting
from chat4all.adapters.sql.tables import conversations, members, private_pairs, users
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain import roles
from chat4all.domain.errors import AlreadyTaken, Conflict, NotFound
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import (
    MEMBERS_MAX,
    Conversation,
    ConversationChanges,
    ConversationType,
    Role,
)
from chat4all.domain.roles import Standing
from chat4all.domain.times import now_utc
from chat4all.ports.outbox import Subject

# Built once: building a query takes longer than running it.
_KNOWN = select(users.c.username).where(
    users.c.username.in_(bindparam("names", expanding=True)), users.c.alias.is_(None)
)
_ADD_CONVERSATION = insert(conversations)
_CONVERSATION = select(
    conversations.c.type,
    conversations.c.title,
    conversations.c.created_at,
    conversations.c.metadata,
).where(
    conversations.c.conversation_id == bindparam("conversation"),
    conversations.c.deleted_at.is_(None),
)
_ADD_MEMBERS = insert(members)
_MEMBERS = (
    select(members.c.username, members.c.role)
    .where(members.c.conversation_id == bindparam("conversation"))
    .order_by(members.c.username)
)
# Whoever changes anything of a conversation waits here for those who came before: what its rules
# are asked with then stands until the end of the transaction.
_TYPE = (
    select(conversations.c.type)
    .where(
        conversations.c.conversation_id == bindparam("conversation"),
        conversations.c.deleted_at.is_(None),
    )
    .with_for_update()
)
_ROLES = select(members.c.username, members.c.role).where(
    members.c.conversation_id == bindparam("conversation"),
    members.c.username.in_(bindparam("names", expanding=True)),
)
_COUNT = select(func.count()).where(members.c.conversation_id == bindparam("conversation"))
_OWNERS = _COUNT.where(members.c.role == Role.OWNER.value)
_ONE_MEMBER = (
    members.c.conversation_id == bindparam("conversation"),
    members.c.username == bindparam("who"),
)
_SET_ROLE = update(members).where(*_ONE_MEMBER).values(role=bindparam("new_role"))
_REMOVE = delete(members).where(*_ONE_MEMBER)
_REMOVE_ALL = delete(members).where(members.c.conversation_id == bindparam("conversation"))
_DELETE = (
    update(conversations)
    .where(conversations.c.conversation_id == bindparam("conversation"))
    .values(deleted_at=bindparam("at"))
)
_ADD_PAIR = insert(private_pairs)
_OF_PAIR = select(private_pairs.c.conversation_id).where(
    private_pairs.c.lesser == bindparam("lesser"), private_pairs.c.greater == bindparam("greater")
)
_ONE = select(literal(1))

_BY_VALUE = {role.value: role for role in Role}


class SqlDirectory:
    """The port `Directory`. The keys of the tables decide every race."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def add_conversation(self, conversation: Conversation) -> Conversation:
        """Create a conversation, or return the pair's first; see `ports.Directory`."""
        names = sorted(conversation.members)
        private = conversation.type is ConversationType.PRIVATE
        if private and (first := await self._of_pair(*names)):
            return first

        def add(connection: Connection) -> Sequence[Note]:
            _insert_conversation(connection, conversation)
            if unknown := _first_unknown(connection, names):
                raise NotFound(f"no such user: {unknown}")
            if private:
                lesser, greater = names
                connection.execute(
                    _ADD_PAIR,
                    {
                        "lesser": lesser,
                        "greater": greater,
                        "conversation_id": conversation.conversation_id,
                    },
                )
            return _of_members(conversation.conversation_id)

        try:
            await write_noting(self._database, add)
        except IntegrityError as error:
            # Which key it was is asked again, in the state that now stands.
            if private and (first := await self._of_pair(*names)):
                return first
            if unknown := await self._database.read(
                lambda connection: _first_unknown(connection, names)
            ):
                raise NotFound(f"no such user: {unknown}") from error
            raise AlreadyTaken("this conversation id is in use") from error
        return conversation

    async def conversation(self, conversation: ConversationId) -> Conversation | None:
        """Return a conversation; see `ports.Directory`."""
        return await self._database.read(lambda connection: _conversation(connection, conversation))

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; see `ports.Directory`."""
        return await self._database.read(lambda connection: _members(connection, conversation))

    async def add_member(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
    ) -> None:
        """Let a user in; see `ports.Directory`."""
        row = {
            "conversation_id": conversation,
            "username": username,
            "role": role.value,
            "joined_at": now_utc(),
        }

        def add(connection: Connection, standing: Standing) -> None:
            roles.check_add(standing, role)
            if standing.other is not None:
                raise AlreadyTaken("already a member")
            if connection.execute(_COUNT, {"conversation": conversation}).scalar_one() >= (
                MEMBERS_MAX
            ):
                raise Conflict(f"it is full: {MEMBERS_MAX} members")
            if _first_unknown(connection, [username]):
                raise NotFound("no such user")
            connection.execute(_ADD_MEMBERS, row)
            note_done(
                connection,
                by,
                "member-added",
                conversation=conversation,
                username=username,
                details={"role": role.value},
            )

        try:
            await self._change(conversation, username, by, add)
        except IntegrityError as error:
            raise AlreadyTaken("already a member") from error

    async def change_role(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
    ) -> None:
        """Give a member another role; see `ports.Directory`."""

        def change(connection: Connection, standing: Standing) -> None:
            roles.check_role(standing, role)
            connection.execute(
                _SET_ROLE,
                {"conversation": conversation, "who": username, "new_role": role.value},
            )
            note_done(
                connection,
                by,
                "role-given",
                conversation=conversation,
                username=username,
                details={"role": role.value, "before": standing.other or ""},
            )

        await self._change(conversation, username, by, change)

    async def remove_member(
        self, conversation: ConversationId, username: Username, by: Username | None = None
    ) -> None:
        """Remove a member; see `ports.Directory`."""

        def remove(connection: Connection, standing: Standing) -> None:
            if username == by:
                roles.check_leave(standing)
            else:
                roles.check_remove(standing)
            connection.execute(_REMOVE, {"conversation": conversation, "who": username})
            note_done(
                connection,
                by,
                "member-left" if username == by else "member-removed",
                conversation=conversation,
                username=username,
            )

        await self._change(conversation, username, by, remove)

    async def change_conversation(
        self,
        conversation: ConversationId,
        changes: ConversationChanges,
        by: Username | None = None,
    ) -> None:
        """Change its title or notes; see `ports.Directory`."""
        values: dict[str, Any] = {}
        if changes.title is not None:
            values["title"] = changes.title
        if changes.metadata is not None:
            values["metadata"] = dict(changes.metadata)

        def change(connection: Connection, standing: Standing) -> None:
            roles.check_change(standing)
            if values:
                connection.execute(
                    update(conversations)
                    .where(conversations.c.conversation_id == conversation)
                    .values(**values)
                )
            note_done(connection, by, "conversation-changed", conversation=conversation)

        await self._change(conversation, None, by, change)

    async def delete_conversation(
        self, conversation: ConversationId, by: Username | None = None
    ) -> None:
        """End a conversation; see `ports.Directory`."""

        def end(connection: Connection, standing: Standing) -> None:
            roles.check_delete(standing)
            delete_all_of(connection, conversation)
            note_done(connection, by, "conversation-deleted", conversation=conversation)

        await self._change(conversation, None, by, end)

    async def _change(
        self,
        conversation: ConversationId,
        username: Username | None,
        by: Username | None,
        change: Callable[[Connection, Standing], None],
    ) -> None:
        def run(connection: Connection) -> Sequence[Note]:
            change(connection, _standing(connection, conversation, by, username))
            return _of_members(conversation)

        await write_noting(self._database, run)

    async def ping(self) -> None:
        """Return when the directory can answer."""
        await self._database.read(lambda connection: connection.execute(_ONE).scalar())

    async def _of_pair(self, lesser: Username, greater: Username) -> Conversation | None:
        def find(connection: Connection) -> Conversation | None:
            pair = {"lesser": lesser, "greater": greater}
            found = connection.execute(_OF_PAIR, pair).scalar()
            return None if found is None else _conversation(connection, found)

        return await self._database.read(find)


def delete_all_of(connection: Connection, conversation: ConversationId) -> None:
    """End a conversation, in the transaction under way."""
    connection.execute(_REMOVE_ALL, {"conversation": conversation})
    connection.execute(_DELETE, {"conversation": conversation, "at": now_utc()})


def _standing(
    connection: Connection,
    conversation: ConversationId,
    by: Username | None,
    username: Username | None,
) -> Standing:
    kind = connection.execute(_TYPE, {"conversation": conversation}).scalar()
    if kind is None:
        raise NotFound(roles.NO_SUCH_CONVERSATION)
    names = [name for name in (by, username) if name is not None]
    rows = connection.execute(_ROLES, {"conversation": conversation, "names": names}).all()
    found = {name: _BY_VALUE[role] for name, role in rows}
    return Standing(
        ConversationType(kind),
        Role.OWNER if by is None else found.get(by),
        None if username is None else found.get(username),
        connection.execute(_OWNERS, {"conversation": conversation}).scalar_one(),
    )


def _first_unknown(connection: Connection, usernames: Sequence[Username]) -> Username | None:
    # One query: a group may have thousands of members.
    known = set(connection.execute(_KNOWN, {"names": usernames}).scalars())
    return next((username for username in usernames if username not in known), None)


def _of_members(conversation: ConversationId) -> Sequence[Note]:
    return (Note(Subject.MEMBERS, conversation),)


def _conversation(connection: Connection, conversation: ConversationId) -> Conversation | None:
    row = connection.execute(_CONVERSATION, {"conversation": conversation}).first()
    if row is None:
        return None
    kind, title, created_at, metadata = row
    return Conversation(
        conversation,
        ConversationType(kind),
        title,
        _members(connection, conversation),
        created_at,
        metadata,
    )


def _members(connection: Connection, conversation: ConversationId) -> dict[Username, Role]:
    rows = connection.execute(_MEMBERS, {"conversation": conversation}).all()
    return {username: _BY_VALUE[role] for username, role in rows}


def _insert_conversation(connection: Connection, conversation: Conversation) -> None:
    connection.execute(
        _ADD_CONVERSATION,
        {
            "conversation_id": conversation.conversation_id,
            "type": conversation.type.value,
            "title": conversation.title,
            "metadata": dict(conversation.metadata),
            "created_at": conversation.created_at,
        },
    )
    connection.execute(
        _ADD_MEMBERS,
        [
            {
                "conversation_id": conversation.conversation_id,
                "username": username,
                "role": role.value,
                "joined_at": conversation.created_at,
            }
            for username, role in conversation.members.items()
        ],
    )
