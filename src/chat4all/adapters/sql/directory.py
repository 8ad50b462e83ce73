"""Conversations and members in SQL: a change, its rules and its notes in one transaction."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, literal, select
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql import conversation_rows as rows
from chat4all.adapters.sql.audit import append_audit_entry
from chat4all.adapters.sql.creations import is_kept, keep_creation
from chat4all.adapters.sql.outbox import Note, now_ms, write_noting
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain import roles
from chat4all.domain.acting import Actor, current_actor
from chat4all.domain.creations import CreationKey
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
from chat4all.domain.times import format_milliseconds
from chat4all.ports.directory import TOGETHER_MAX
from chat4all.ports.outbox import Subject

_ONE = select(literal(1))

NAMED_MAX = 20
"""Names that one error has."""


class SqlDirectory:
    """`Directory` of `ports.directory`. The tables' keys decide every race.

    `order_ms` returns the time at which somebody joins, in milliseconds since 1970, which lists
    compare with the log's; None from it: by the database's clock.
    """

    def __init__(
        self, database: Transactions, *, order_ms: Callable[[], int | None] = lambda: None
    ) -> None:
        self._database = database
        self._order_ms = order_ms

    async def add_conversation(
        self,
        conversation: Conversation,
        by: Username | None = None,
        key: CreationKey | None = None,
    ) -> Conversation:
        """Create one, or return the pair's first; see `ports.directory.Conversations`."""
        names = sorted(conversation.members)
        is_private = conversation.type is ConversationType.PRIVATE
        if is_private and (first := await self._of_pair(*names)):
            return first

        order_ms, actor = self._order_ms(), current_actor()

        def add(connection: Connection) -> Sequence[Note]:
            if by is not None:
                rows.check_enabled(connection, by)
            keep_creation(connection, key, conversation)
            joined_at = _joined_at(connection, order_ms)
            rows.insert_conversation(connection, conversation, joined_at)
            if unknown := rows.unknown_of(connection, names):
                raise _no_such_users(unknown)
            if is_private:
                rows.insert_pair(connection, conversation.conversation_id, *names)
            append_audit_entry(
                connection,
                actor,
                "conversation-created",
                conversation=conversation.conversation_id,
                details={"type": conversation.type.value, "members": str(len(names))},
            )
            return _members_note(conversation.conversation_id)

        try:
            await write_noting(self._database, add)
        except IntegrityError as error:
            # Look up again which key it was, in the current state.
            if await self._database.read(lambda connection: is_kept(connection, key)):
                raise _key_in_use() from error
            if is_private and (first := await self._of_pair(*names)):
                return first
            if unknown := await self._database.read(
                lambda connection: rows.unknown_of(connection, names)
            ):
                raise _no_such_users(unknown) from error
            raise AlreadyTaken("this conversation id is in use") from error
        return conversation

    async def conversation(self, conversation: ConversationId) -> Conversation | None:
        """Return a conversation; see `ports.directory.Conversations`."""
        return await self._database.read(
            lambda connection: rows.find_conversation(connection, conversation)
        )

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; see `ports.directory.Members`."""
        return await self._database.read(
            lambda connection: rows.find_members(connection, conversation)
        )

    async def members_of(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Mapping[Username, Role]]:
        """Return who is in each of several; see `ports.directory.ManyMembers`."""
        if not conversations:
            return {}
        return await self._database.read(
            lambda connection: rows.find_members_of(connection, conversations, TOGETHER_MAX)
        )

    async def add_member(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
        key: CreationKey | None = None,
    ) -> None:
        """Let a user in; see `ports.directory.Conversations`."""
        order_ms, actor = self._order_ms(), current_actor(by)

        def add(connection: Connection, standing: Standing) -> None:
            roles.check_add(standing, role)
            if standing.other is not None:
                raise AlreadyTaken("already a member")
            if rows.count_members(connection, conversation) >= MEMBERS_MAX:
                raise Conflict(f"it is full: {MEMBERS_MAX} members")
            if rows.unknown_of(connection, [username]):
                raise NotFound("no such user")
            keep_creation(connection, key, None)
            joined_at = _joined_at(connection, order_ms)
            rows.insert_member(connection, conversation, username, role, joined_at)
            append_audit_entry(
                connection,
                actor,
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
        """Give a member another role; see `ports.directory.Conversations`."""
        actor = current_actor(by)

        def change(connection: Connection, standing: Standing) -> None:
            roles.check_role(standing, role)
            rows.set_role(connection, conversation, username, role)
            _note_role(connection, actor, conversation, username, role, standing.other)

        await self._change(conversation, username, by, change)

    async def remove_member(
        self, conversation: ConversationId, username: Username, by: Username | None = None
    ) -> None:
        """Remove a member; see `ports.directory.Conversations`."""
        actor = current_actor(by)

        def remove(connection: Connection, standing: Standing) -> None:
            if username == by:
                roles.check_leave(standing)
            else:
                roles.check_remove(standing)
            rows.delete_member(connection, conversation, username)
            append_audit_entry(
                connection,
                actor,
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
    ) -> Conversation:
        """Change its title or metadata; see `ports.directory.Conversations`."""
        actor = current_actor(by)
        changed: list[Conversation] = []

        def change(connection: Connection, standing: Standing) -> None:
            roles.check_change(standing)
            rows.update_conversation(connection, conversation, changes)
            append_audit_entry(connection, actor, "conversation-changed", conversation=conversation)
            changed[:] = [rows.get_conversation(connection, conversation)]

        await self._change(conversation, None, by, change)
        return changed[0]

    async def delete_conversation(
        self, conversation: ConversationId, by: Username | None = None
    ) -> None:
        """End a conversation; see `ports.directory.Conversations`."""
        actor = current_actor(by)

        def end(connection: Connection, standing: Standing) -> None:
            roles.check_delete(standing)
            rows.delete_conversation(connection, conversation)
            append_audit_entry(connection, actor, "conversation-deleted", conversation=conversation)

        await self._change(conversation, None, by, end)

    async def hand_over(self, conversation: ConversationId, username: Username) -> None:
        """Make a member the only owner of a group; for an operator.

        The owners before become members. Raises `NotFound`, `NotAllowed` for a private
        conversation and `Conflict` for a disabled user.
        """
        actor = current_actor()

        def hand_over(connection: Connection, standing: Standing) -> None:
            roles.check_hand_over(standing)
            for owner in rows.demote_owners(connection, conversation):
                if owner != username:
                    _note_role(connection, actor, conversation, owner, Role.MEMBER, Role.OWNER)
            rows.set_role(connection, conversation, username, Role.OWNER)
            append_audit_entry(
                connection,
                actor,
                "group-handed-over",
                conversation=conversation,
                username=username,
                details={"role": Role.OWNER.value, "before": standing.other or ""},
            )

        await self._change(conversation, username, None, hand_over)

    async def ping(self) -> None:
        """Return when the directory can answer."""
        await self._database.read(lambda connection: connection.execute(_ONE).scalar())

    async def _change(
        self,
        conversation: ConversationId,
        username: Username | None,
        by: Username | None,
        change: Callable[[Connection, Standing], None],
    ) -> None:
        def run(connection: Connection) -> Sequence[Note]:
            change(connection, rows.find_standing(connection, conversation, by, username))
            return _members_note(conversation)

        await write_noting(self._database, run)

    async def _of_pair(self, lesser: Username, greater: Username) -> Conversation | None:
        return await self._database.read(
            lambda connection: rows.find_of_pair(connection, lesser, greater)
        )


def _note_role(
    connection: Connection,
    actor: Actor,
    conversation: ConversationId,
    username: Username,
    role: Role,
    before: Role | None,
) -> None:
    append_audit_entry(
        connection,
        actor,
        "role-given",
        conversation=conversation,
        username=username,
        details={"role": role.value, "before": before or ""},
    )


def _joined_at(connection: Connection, order_ms: int | None) -> str:
    return format_milliseconds(now_ms(connection) if order_ms is None else order_ms)


def _key_in_use() -> AlreadyTaken:
    return AlreadyTaken("this Idempotency-Key is in use")


def _no_such_users(names: Sequence[Username]) -> NotFound:
    """Return an error that names them, or the first of many."""
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return NotFound(f"no such user: {', '.join(names[:NAMED_MAX])}{more}")


def _members_note(conversation: ConversationId) -> Sequence[Note]:
    return (Note(Subject.MEMBERS, conversation),)
