"""Requests of a gateway to the metadata service: `POST /internal/<name>`, one type for each name.

Answers are the domain's types in JSON (`null` for None), or empty. Fields are only ever added, each
with a default: the two sides may be of different releases.
"""

from urllib.parse import quote, unquote_to_bytes

import msgspec

from chat4all.domain.acting import Actor
from chat4all.domain.creations import CreationKey
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

ACTOR_HEADER = "Chat4All-Actor"
"""Who a gateway asks for, from `encode_actor`; believed, since only services have a credential."""

NO_SUCH_QUESTION = "no such route"
"""The detail of the 404 to a name that a service does not know.

It never changes: by it a gateway of a newer release knows that this is no answer to its question.
"""

BODY_MAX = 1024 * 1024
"""Bytes in a body: a conversation with 10,000 members takes half of that."""


class _Actor(msgspec.Struct, omit_defaults=True):
    username: Username | None = None
    session_id: SessionId | None = None
    address: str | None = None


def encode_actor(actor: Actor) -> str:
    """Return the value of `ACTOR_HEADER`."""
    fields = _Actor(actor.username, actor.session_id, actor.address)
    return quote(msgspec.json.encode(fields), safe='{}":,')


def decode_actor(header: bytes) -> Actor:
    """Return whom a header names; nobody where there is none, or none that this release reads."""
    try:
        fields = msgspec.json.decode(unquote_to_bytes(header), type=_Actor)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Actor()
    return Actor(fields.username, fields.session_id, fields.address)


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
    key: CreationKey | None = None


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
    verified: bytes | None = None


class EraseUser(msgspec.Struct):
    """For `erase_user`."""

    username: Username
    session: SessionId | None = None


class OfUsers(msgspec.Struct):
    """Which users; for `aliases`."""

    usernames: list[Username]


class Details(msgspec.Struct):
    """For `details`."""

    conversations: list[ConversationId]
    viewer: Username


class Shared(msgspec.Struct):
    """For `shared`."""

    viewer: Username
    usernames: list[Username]


class AddConversation(msgspec.Struct):
    """For `add_conversation`."""

    conversation: Conversation
    by: Username | None = None
    key: CreationKey | None = None


class OfConversation(msgspec.Struct):
    """Which conversation; for `conversation` and `members`."""

    conversation_id: ConversationId


class OfConversations(msgspec.Struct):
    """Which conversations; for `members_of`."""

    conversations: list[ConversationId]


class AddMember(msgspec.Struct):
    """For `add_member`."""

    conversation_id: ConversationId
    username: Username
    role: Role
    by: Username | None = None
    key: CreationKey | None = None


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
    others: list[bytes] | None = None
    """None from a gateway of an earlier release."""


class EndSession(msgspec.Struct):
    """For `end_session`."""

    session_id: SessionId
    username: Username | None = None
    by: SessionId | None = None


class OfSession(msgspec.Struct):
    """Which session; for `session`."""

    session_id: SessionId


class OfSessions(msgspec.Struct):
    """Which sessions; for `sessions`."""

    sessions: list[SessionId]


class FindCreation(msgspec.Struct):
    """For `creation`."""

    scope: Username
    key: str


class After(msgspec.Struct):
    """For `outbox`: the position to go on from."""

    position: int | None = None


class SameSecret(msgspec.Struct):
    """For `same_secret`: whether the service accepts the `SECRET_KEY` that this is a proof of."""

    proof: bytes


class Ping(msgspec.Struct):
    """For `ping`."""
