"""Create conversations and let people in."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from chat4all.domain.errors import FieldError, InvalidInput, NotAllowed, NotFound
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import (
    MAY_ADD_MEMBERS,
    MEMBERS_MAX,
    Conversation,
    ConversationType,
    Role,
)
from chat4all.ports import Directory
from chat4all.usecases.marking import Marking
from chat4all.wire.records import format_utc


class Membership:
    """Who may talk where."""

    def __init__(self, directory: Directory, marking: Marking) -> None:
        self._directory = directory
        self._marking = marking

    async def create(
        self,
        creator: Username,
        kind: ConversationType,
        others: Sequence[Username],
        *,
        title: str | None = None,
        metadata: Mapping[str, str] | None = None,
        conversation_id: ConversationId | None = None,
    ) -> tuple[Conversation, bool]:
        """Create a conversation of the creator and the others; return it and whether it is new.

        A private conversation is that of its pair: the second one is the first. In a group the
        creator is `owner`, the others are `member`s; in a private conversation both are `member`s.
        Raises `InvalidInput` for a private one without exactly one other person, a group that is
        too large, or somebody who is not a user. Only an operator chooses the id.
        """
        people = dict.fromkeys([creator, *others])
        if kind is ConversationType.PRIVATE and len(people) != 2:
            raise InvalidInput([FieldError("/members", "a private conversation has one other")])
        if kind is ConversationType.PRIVATE and title is not None:
            raise InvalidInput([FieldError("/title", "a private conversation has no title")])
        if len(people) > MEMBERS_MAX:
            raise InvalidInput([FieldError("/members", f"at most {MEMBERS_MAX} members")])
        owner = Role.OWNER if kind is ConversationType.GROUP else Role.MEMBER
        wanted = Conversation(
            conversation_id or ConversationId(str(uuid.uuid4())),
            kind,
            title,
            {name: owner if name == creator else Role.MEMBER for name in people},
            format_utc(datetime.now(UTC)),
            dict(metadata or {}),
        )
        try:
            found = await self._directory.add_conversation(wanted)
        except NotFound as error:
            raise InvalidInput([FieldError("/members", str(error))]) from error
        return found, found.conversation_id == wanted.conversation_id

    async def conversation(self, asker: Username, conversation: ConversationId) -> Conversation:
        """Return a conversation to one of its members; `NotFound` to everybody else."""
        found = await self._directory.conversation(conversation)
        if found is None or asker not in found.members:
            raise NotFound("no such conversation")
        return found

    async def add(
        self, asker: Username, conversation: ConversationId, username: Username, role: Role
    ) -> None:
        """Let a user into a group, as an admin or its owner may.

        Raises `NotFound` for an asker who is not in it, `NotAllowed` for a role that may not or a
        private conversation, `InvalidInput` for somebody who is not a user, and `AlreadyTaken` for
        a member.
        """
        found = await self.conversation(asker, conversation)
        if found.type is ConversationType.PRIVATE:
            raise NotAllowed("a private conversation stays between its two people")
        if found.members[asker] not in MAY_ADD_MEMBERS:
            raise NotAllowed("only an admin or the owner adds members")
        if role is not Role.MEMBER and found.members[asker] is not Role.OWNER:
            raise NotAllowed("only the owner gives roles")
        if len(found.members) >= MEMBERS_MAX:
            raise InvalidInput([FieldError("/username", f"at most {MEMBERS_MAX} members")])
        if await self._directory.user(username) is None:
            raise InvalidInput([FieldError("/username", "no such user")])
        if username not in found.members:
            await self._marking.join(username, conversation)
        await self._directory.add_member(conversation, username, role)
