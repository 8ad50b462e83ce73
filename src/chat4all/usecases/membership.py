"""Create, change and delete conversations, and their memberships."""

import uuid
from collections.abc import Mapping, Sequence
from heapq import nsmallest

from chat4all.domain import roles
from chat4all.domain.errors import (
    AlreadyTaken,
    FieldError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Unavailable,
)
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import (
    MEMBERS_MAX,
    Conversation,
    ConversationChanges,
    ConversationType,
    Role,
    private_errors,
)
from chat4all.domain.roles import Standing
from chat4all.domain.times import now_utc
from chat4all.ports.creations import Creations
from chat4all.ports.directory import Conversations, Members
from chat4all.ports.users import UserLookup
from chat4all.usecases.marking import Marking
from chat4all.usecases.repeating import Repeating, creation_key


class Membership:
    """Creates conversations and changes who is in them."""

    def __init__(
        self,
        users: UserLookup,
        members: Members,
        conversations: Conversations,
        marking: Marking,
        creations: Creations,
    ) -> None:
        self._users = users
        self._members = members
        self._conversations = conversations
        self._marking = marking
        self._repeating_conversation = Repeating(creations, Conversation)
        self._repeating_member: Repeating[None] = Repeating(creations, type(None))

    async def create(
        self,
        creator: Username,
        kind: ConversationType,
        others: Sequence[Username],
        *,
        title: str | None = None,
        metadata: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> tuple[Conversation, bool]:
        """Create a conversation of the creator and the others; return it and whether it is new.

        A pair has one private conversation: a second request returns the first. In a group the
        creator is `owner`, the others are `member`s; in a private conversation both are `member`s.
        The same request again with the same `key` gets the same answer, from a member of it.
        Raises `InvalidInput` for a private one without exactly one other person, a group that is
        too large, or somebody who is not a user.
        """
        people = dict.fromkeys([creator, *others])
        errors = []
        if kind is ConversationType.PRIVATE:
            errors = private_errors(len(people) - 1, has_title=title is not None)
        elif len(people) > MEMBERS_MAX:
            errors = [FieldError("/members", f"at most {MEMBERS_MAX} members")]
        if errors:
            raise InvalidInput(errors)
        owner = Role.OWNER if kind is ConversationType.GROUP else Role.MEMBER
        new = Conversation(
            ConversationId(str(uuid.uuid4())),
            kind,
            title,
            {name: owner if name == creator else Role.MEMBER for name in people},
            now_utc(),
            dict(metadata or {}),
        )
        once = creation_key(creator, key, "conversation", kind, others, title, new.metadata)
        first: list[Conversation] = []

        async def create() -> Conversation:
            try:
                stored = await self._conversations.add_conversation(new, creator, once)
            except NotFound as error:
                raise InvalidInput([FieldError("/members", str(error))]) from error
            if stored.conversation_id != new.conversation_id:
                first.append(stored)
            return stored

        async def may_repeat(stored: Conversation) -> None:
            await self._members_for(creator, stored.conversation_id)

        return await self._repeating_conversation.once(once, create, may_repeat), not first

    async def conversation(self, asker: Username, conversation: ConversationId) -> Conversation:
        """Return a conversation to one of its members; `NotFound` for all others."""
        stored = await self._conversations.conversation(conversation)
        if stored is None or asker not in stored.members:
            raise NotFound(roles.NO_SUCH_CONVERSATION)
        return stored

    async def members(
        self, asker: Username, conversation: ConversationId, limit: int, after: str
    ) -> tuple[Mapping[Username, Role], Username | None]:
        """Return members by name, at most `limit` above `after`, and the name to continue after.

        Raises `NotFound` for an asker who is not in it.
        """
        members = await self._members_for(asker, conversation)
        names = nsmallest(limit + 1, (name for name in members if name > after))
        last = names[limit - 1] if len(names) > limit else None
        return {name: members[name] for name in names[:limit]}, last

    async def add(
        self,
        asker: Username,
        conversation: ConversationId,
        username: Username,
        role: Role,
        *,
        key: str | None = None,
    ) -> None:
        """Let a user into a group, as an admin or an owner may.

        The same request again with the same `key` does nothing, for a caller who still may.
        Raises `NotFound` for an asker who is not in it, `NotAllowed` for a role that may not or a
        private conversation, `InvalidInput` for a name that is no user's, `AlreadyTaken` for a
        member and `Conflict` when it is full.
        """
        once = creation_key(asker, key, "member", conversation, username, role)

        async def create() -> None:
            stored = await self._stored_for_adding(asker, conversation, role)
            if username in stored.members:
                raise AlreadyTaken("already a member")
            if await self._users.user(username) is None:
                raise InvalidInput([FieldError("/username", "no such user")])
            try:
                await self._marking.join(username, conversation)
            except OutcomeUnknown as error:
                # Of the marker, which does no harm: nobody was added.
                raise Unavailable(str(error), error.public) from error
            await self._conversations.add_member(conversation, username, role, asker, once)

        async def may_repeat(_: None) -> None:
            await self._stored_for_adding(asker, conversation, role)

        await self._repeating_member.once(once, create, may_repeat)

    async def _stored_for_adding(
        self, asker: Username, conversation: ConversationId, role: Role
    ) -> Conversation:
        """Return a conversation to which the caller may add somebody; raises otherwise.

        The transaction checks it again. Here it avoids a marker for a caller who is refused.
        """
        stored = await self.conversation(asker, conversation)
        roles.check_add(Standing(stored.type, stored.members[asker], None, 1), role)
        return stored

    async def change_role(
        self, asker: Username, conversation: ConversationId, username: Username, role: Role
    ) -> None:
        """Give a member of a group another role, as an owner may.

        Raises `NotFound` when either is not in it, `NotAllowed`, and `Conflict` when the group
        would be left without an owner.
        """
        await self._members_for(asker, conversation)
        await self._conversations.change_role(conversation, username, role, asker)

    async def remove(
        self, asker: Username, conversation: ConversationId, username: Username
    ) -> None:
        """Remove a member of a group, or leave it oneself; raises what `change_role` does."""
        await self._members_for(asker, conversation)
        await self._conversations.remove_member(conversation, username, asker)

    async def change(
        self, asker: Username, conversation: ConversationId, changes: ConversationChanges
    ) -> Conversation:
        """Change a group's title or notes, as an admin or an owner may, and return it.

        Raises `NotFound` for an asker who is not in it, and `NotAllowed`.
        """
        await self._members_for(asker, conversation)
        return await self._conversations.change_conversation(conversation, changes, asker)

    async def delete(self, asker: Username, conversation: ConversationId) -> None:
        """End a group for everybody, as an owner may; raises `NotFound` or `NotAllowed`."""
        await self._members_for(asker, conversation)
        await self._conversations.delete_conversation(conversation, asker)

    async def _members_for(
        self, asker: Username, conversation: ConversationId
    ) -> Mapping[Username, Role]:
        # First, so that outsiders cannot tell whether a conversation exists.
        members = await self._members.members(conversation)
        roles.check_member(members, asker)
        return members
