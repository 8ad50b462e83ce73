"""What gateways ask the metadata service: one question for each method of its ports.

Those about files: `metadata.file_questions`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from chat4all.http.json_bodies import decode_body
from chat4all.ports.outbox import Outbox
from chat4all.ports.people import PeoplePorts
from chat4all.ports.sessions import Sessions
from chat4all.wire import internal

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


class Question(Generic[T]):
    """A question: the type of its body, and the method that answers it."""

    def __init__(self, shape: type[T], answer: Callable[[T], Awaitable[Any]]) -> None:
        self._decoder = msgspec.json.Decoder(shape)
        self._answer = answer

    async def answer(self, body: bytes) -> bytes:
        """Return the answer in JSON. Raises what `decode_body` and the port raise."""
        return _encoder.encode(await self._answer(decode_body(body, self._decoder)))


async def _rotate(sessions: Sessions, query: internal.Rotate) -> Sequence[object]:
    rotation = await sessions.rotate(
        query.spent, query.token, query.now, query.expires_at, query.others or ()
    )
    # Gateways of earlier releases expect two fields.
    return rotation if query.others is not None else rotation[:2]


def questions_for(
    people: PeoplePorts,
    outbox: Outbox,
    same_secret: Callable[[internal.SameSecret], Awaitable[bool]],
) -> Mapping[str, Question[Any]]:
    """Return every question about people that is answered, by the name in its path."""
    users, directory = people.users, people.directory
    memberships, sessions = people.memberships, people.sessions
    return {
        "ping": Question(internal.Ping, lambda _: directory.ping()),
        "user": Question(internal.OfUser, lambda of: users.user(of.username)),
        "find_users": Question(
            internal.FindUsers, lambda of: users.find_users(of.prefix, of.limit, of.after)
        ),
        "find_contacts": Question(
            internal.FindContacts,
            lambda of: users.find_users(of.prefix, of.limit, of.after, contacts_of=of.contacts_of),
        ),
        "password_hash": Question(internal.OfUser, lambda of: users.password_hash(of.username)),
        "rehash_password": Question(
            internal.RehashPassword,
            lambda query: users.rehash_password(query.username, query.known, query.new),
        ),
        "add_user": Question(
            internal.AddUser, lambda new: users.add_user(new.user, new.password_hash, new.key)
        ),
        "change_user": Question(
            internal.ChangeUser,
            lambda query: users.change_user(
                query.username, query.changes, query.keep, query.verified
            ),
        ),
        "erase_user": Question(
            internal.EraseUser, lambda query: users.erase_user(query.username, query.session)
        ),
        "aliases": Question(internal.OfUsers, lambda of: users.aliases(of.usernames)),
        "conversation": Question(
            internal.OfConversation, lambda of: directory.conversation(of.conversation_id)
        ),
        "members": Question(
            internal.OfConversation, lambda of: directory.members(of.conversation_id)
        ),
        "members_of": Question(
            internal.OfConversations, lambda of: directory.members_of(of.conversations)
        ),
        "add_conversation": Question(
            internal.AddConversation,
            lambda new: directory.add_conversation(new.conversation, new.by, new.key),
        ),
        "add_member": Question(
            internal.AddMember,
            lambda new: directory.add_member(
                new.conversation_id, new.username, new.role, new.by, new.key
            ),
        ),
        "change_role": Question(
            internal.ChangeRole,
            lambda query: directory.change_role(
                query.conversation_id, query.username, query.role, query.by
            ),
        ),
        "remove_member": Question(
            internal.RemoveMember,
            lambda query: directory.remove_member(query.conversation_id, query.username, query.by),
        ),
        "change_conversation": Question(
            internal.ChangeConversation,
            lambda query: directory.change_conversation(
                query.conversation_id, query.changes, query.by
            ),
        ),
        "delete_conversation": Question(
            internal.DeleteConversation,
            lambda query: directory.delete_conversation(query.conversation_id, query.by),
        ),
        "memberships_of": Question(internal.OfUser, lambda of: memberships.of_user(of.username)),
        "details": Question(
            internal.Details,
            lambda query: memberships.details(query.conversations, query.viewer),
        ),
        "shared": Question(
            internal.Shared, lambda query: memberships.shared(query.viewer, query.usernames)
        ),
        "session": Question(internal.OfSession, lambda of: sessions.get(of.session_id)),
        "sessions": Question(internal.OfSessions, lambda of: sessions.get_each(of.sessions)),
        "start_session": Question(
            internal.StartSession,
            lambda new: sessions.start(new.session, new.refresh, new.password_hash),
        ),
        "rotate_session": Question(
            internal.Rotate,
            lambda query: _rotate(sessions, query),
        ),
        "sessions_of": Question(internal.OfUser, lambda of: sessions.of_user(of.username)),
        "end_session": Question(
            internal.EndSession,
            lambda query: sessions.end(query.session_id, query.username, query.by),
        ),
        "creation": Question(
            internal.FindCreation, lambda query: people.creations.find(query.scope, query.key)
        ),
        "outbox": Question(internal.After, lambda after: outbox.after(after.position)),
        "same_secret": Question(internal.SameSecret, same_secret),
    }
