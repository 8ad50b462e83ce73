"""Conversations and who is in them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chat4all.domain.creations import CreationKey
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.listing import Detail, JoinedConversation
from chat4all.domain.people import Conversation, ConversationChanges, Role
from chat4all.ports.health import CanPing


class Members(Protocol):
    """The check that every send and every read makes."""

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; nobody is in one that does not exist."""
        ...


MEMBERS_ASKED_MAX = 100
"""Conversations of one question to `ManyMembers`."""

TOGETHER_MAX = 100
"""Members of a conversation that is answered together with others."""


class ManyMembers(Protocol):
    """The same for many conversations, as a connection begins."""

    async def members_of(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Mapping[Username, Role]]:
        """Return who is in each of at most `MEMBERS_ASKED_MAX` conversations.

        Those with more than `TOGETHER_MAX` members are left out: they are asked for alone.
        """
        ...


class PresentDirectory(Members, ManyMembers, Protocol):
    """Who is in conversations now: what live delivery asks."""


class Conversations(Protocol):
    """Conversations, and changes of them.

    `by` is the caller; None is an operator, who may do everything. Permission is checked in the
    transaction that makes the change, by the rules of `domain.roles`, which raise their errors;
    a caller who is disabled gets `NotSignedIn`.
    """

    async def add_conversation(
        self,
        conversation: Conversation,
        by: Username | None = None,
        key: CreationKey | None = None,
    ) -> Conversation:
        """Create a conversation, keep that under `key`, and return it.

        A pair has one private conversation: a second request returns the first and creates nothing,
        also when both come at once. Raises `NotFound` when a member is not a user, `NotSignedIn`
        when the caller is disabled, and `AlreadyTaken` when the id or the key is in use.
        """
        ...

    async def conversation(self, conversation: ConversationId) -> Conversation | None:
        """Return a conversation with its members, if there is one."""
        ...

    async def add_member(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
        key: CreationKey | None = None,
    ) -> None:
        """Let a user in, and keep that under `key`.

        Raises `AlreadyTaken` for a member, or a key in use, `NotFound` without such a conversation
        or user, and `Conflict` when it is full.
        """
        ...

    async def change_role(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
    ) -> None:
        """Give a member another role."""
        ...

    async def remove_member(
        self, conversation: ConversationId, username: Username, by: Username | None = None
    ) -> None:
        """Remove a member; users who remove themselves leave."""
        ...

    async def change_conversation(
        self,
        conversation: ConversationId,
        changes: ConversationChanges,
        by: Username | None = None,
    ) -> Conversation:
        """Change its title or metadata, and return it as it is then."""
        ...

    async def delete_conversation(
        self, conversation: ConversationId, by: Username | None = None
    ) -> None:
        """End a conversation for everybody; its id is never used again."""
        ...


class Directory(Members, ManyMembers, Conversations, Protocol):
    """What the services ask about conversations, where one adapter answers all of it."""


class AnsweringDirectory(Directory, CanPing, Protocol):
    """A directory that says whether it can answer."""


class Memberships(Protocol):
    """A user's conversations, for lists, and with whom they are."""

    async def of_user(self, username: Username) -> Sequence[JoinedConversation]:
        """Return all memberships of a user."""
        ...

    async def details(
        self, conversations: Sequence[ConversationId], viewer: Username
    ) -> Mapping[ConversationId, Detail]:
        """Return what a member sees of these conversations, in one round trip for all.

        Those that do not exist any more are left out.
        """
        ...

    async def shared(
        self, viewer: Username, usernames: Sequence[Username]
    ) -> Mapping[Username, ConversationId]:
        """Return one conversation that each of these users has in common with a viewer.

        Those who share none are left out.
        """
        ...
