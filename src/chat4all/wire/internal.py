"""Requests of a gateway to the metadata service: `POST /internal/<name>`, one type for each name.

Answers are the domain's types in JSON (`null` for None), or empty. Fields are only ever added, each
with a default: the two sides may be of different releases.
"""

import msgspec

from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import (
    Conversation,
    ConversationChanges,
    Role,
    Session,
    User,
    UserChanges,
)
from chat4all.domain.refresh_tokens import RefreshHashes

PATH = "/internal/"

SCHEME = "Chat4All-Service"
"""The `Authorization` scheme: the credential cannot be taken for a user's token, or the reverse."""

BODY_MAX = 1024 * 1024
"""Bytes in a body: a conversation with 10,000 members takes half of that."""


class OfUser(msgspec.Struct):
    """Which user; for questions about one."""

    username: Username


class RehashPassword(msgspec.Struct):
    """For `rehash_password`."""

    username: Username
    known: bytes
    new: bytes


class AddUser(msgspec.Struct):
    """For `add_user`."""

    user: User
    password_hash: bytes


class FindUsers(msgspec.Struct):
    """For `find_users`."""

    prefix: str
    limit: int
    after: str


class FindContacts(msgspec.Struct):
    """For `find_contacts`.

    Not a field of `FindUsers`: a service of an earlier release would pass over it, and find all.
    """

    prefix: str
    limit: int
    after: str
    contacts_of: Username


class ChangeUser(msgspec.Struct):
    """For `change_user`."""

    username: Username
    changes: UserChanges
    keep: SessionId | None


class OfUsers(msgspec.Struct):
    """Which users; for `aliases`."""

    usernames: list[Username]


class Details(msgspec.Struct):
    """For `details`."""

    conversations: list[ConversationId]
    viewer: Username


class AddConversation(msgspec.Struct):
    """For `add_conversation`."""

    conversation: Conversation


class OfConversation(msgspec.Struct):
    """Which conversation; for `conversation` and `members`."""

    conversation_id: ConversationId


class AddMember(msgspec.Struct):
    """For `add_member`."""

    conversation_id: ConversationId
    username: Username
    role: Role
    by: Username | None = None


class ChangeRole(msgspec.Struct):
    """For `change_role`."""

    conversation_id: ConversationId
    username: Username
    role: Role
    by: Username | None


class RemoveMember(msgspec.Struct):
    """For `remove_member`."""

    conversation_id: ConversationId
    username: Username
    by: Username | None


class ChangeConversation(msgspec.Struct):
    """For `change_conversation`."""

    conversation_id: ConversationId
    changes: ConversationChanges
    by: Username | None


class DeleteConversation(msgspec.Struct):
    """For `delete_conversation`."""

    conversation_id: ConversationId
    by: Username | None


class StartSession(msgspec.Struct):
    """For `start_session`."""

    session: Session
    refresh: RefreshHashes
    password_hash: bytes | None


class Rotate(msgspec.Struct):
    """For `rotate_session`."""

    spent: RefreshHashes
    token: bytes
    now: int
    expires_at: int


class EndSession(msgspec.Struct):
    """For `end_session`."""

    session_id: SessionId
    username: Username | None = None


class OfSession(msgspec.Struct):
    """Which session; for `session`."""

    session_id: SessionId


class After(msgspec.Struct):
    """For `outbox`: the position to go on from."""

    position: int | None = None


class SameSecret(msgspec.Struct):
    """For `same_secret`: whether the service accepts the `SECRET_KEY` that this is a proof of."""

    proof: bytes


class Ping(msgspec.Struct):
    """For `ping`."""
