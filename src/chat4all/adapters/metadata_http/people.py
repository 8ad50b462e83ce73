"""The ports of users, conversations and sessions: each call is a request; see `wire.internal`."""

from collections.abc import Mapping, Sequence

from chat4all.adapters.metadata_http.files import (
    HttpFiles,
    HttpFileUses,
    HttpSharing,
    HttpUploads,
)
from chat4all.adapters.metadata_http.scans import HttpScans
from chat4all.adapters.metadata_http.service import MetadataService
from chat4all.concurrency.slices import slices
from chat4all.domain.creations import CreationKey, KeptCreation
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.listing import Detail, JoinedConversation
from chat4all.domain.people import (
    USERNAME_MAX,
    Conversation,
    ConversationChanges,
    Role,
    Session,
    User,
    UserChanges,
)
from chat4all.domain.refresh_tokens import RefreshHashes
from chat4all.ports.outbox import OutboxPage
from chat4all.ports.people import PeoplePorts
from chat4all.ports.sessions import Rotation
from chat4all.wire import internal

DETAILS_AT_ONCE = 50
"""Conversations: with the longest notes they fit into one answer (`service.ANSWER_MAX`)."""

ALIASES_AT_ONCE = 5_000
"""Names: with every character escaped they fit into one question (`wire.internal.BODY_MAX`)."""


class HttpUsers:
    """The ports of `ports.users`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def add_user(
        self, user: User, password_hash: bytes, key: CreationKey | None = None
    ) -> None:
        """Create a user; see `ports.users.Registrations`."""
        await self._ask("add_user", internal.AddUser(user, password_hash, key), None, writes=True)

    async def user(self, username: Username) -> User | None:
        """Return a user; see `ports.users.Users`."""
        answer: User | None = await self._ask(
            "user", internal.OfUser(username), User | None, writes=False
        )
        return answer

    async def find_users(
        self, prefix: str, limit: int, after: str = "", *, contacts_of: Username | None = None
    ) -> Sequence[User]:
        """Return users by name; see `ports.users.Users`."""
        name: str = "find_users"
        query: internal.FindUsers | internal.FindContacts = internal.FindUsers(prefix, limit, after)
        if contacts_of is not None:
            name, query = "find_contacts", internal.FindContacts(prefix, limit, after, contacts_of)
        answer: Sequence[User] = await self._ask(name, query, list[User], writes=False)
        return answer

    async def password_hash(self, username: Username) -> bytes | None:
        """Return a user's password hash; see `ports.users.Credentials`."""
        answer: bytes | None = await self._ask(
            "password_hash", internal.OfUser(username), bytes | None, writes=False
        )
        return answer

    async def rehash_password(self, username: Username, known: bytes, new: bytes) -> None:
        """Store another hash; see `ports.users.Credentials`."""
        change = internal.RehashPassword(username, known, new)
        await self._ask("rehash_password", change, None, writes=True)

    async def change_user(
        self,
        username: Username,
        changes: UserChanges,
        keep: SessionId | None = None,
        verified: bytes | None = None,
    ) -> User:
        """Change a user; see `ports.users.Users`."""
        change = internal.ChangeUser(username, changes, keep, verified)
        changed: User = await self._ask("change_user", change, User, writes=True)
        return changed

    async def erase_user(self, username: Username, session: SessionId | None = None) -> None:
        """Erase a user; see `ports.users.Users`."""
        await self._ask("erase_user", internal.EraseUser(username, session), None, writes=True)

    async def aliases(self, usernames: Sequence[Username]) -> Mapping[Username, Username]:
        """Return the aliases of erased users; see `ports.users.Aliases`."""
        found: dict[Username, Username] = {}
        # A page of foreign records may name thousands, longer than any user's name can be.
        possible = [name for name in usernames if len(name) <= USERNAME_MAX]
        for some in slices(possible, ALIASES_AT_ONCE):
            found |= await self._ask(
                "aliases", internal.OfUsers(list(some)), dict[Username, Username], writes=False
            )
        return found


class HttpDirectory:
    """The port `ports.directory.Directory`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def add_conversation(
        self,
        conversation: Conversation,
        by: Username | None = None,
        key: CreationKey | None = None,
    ) -> Conversation:
        """Create one, or return the pair's first; see `ports.directory.Conversations`."""
        new = internal.AddConversation(conversation, by, key)
        answer: Conversation = await self._ask("add_conversation", new, Conversation, writes=True)
        return answer

    async def conversation(self, conversation: ConversationId) -> Conversation | None:
        """Return a conversation; see `ports.directory.Conversations`."""
        answer: Conversation | None = await self._ask(
            "conversation", internal.OfConversation(conversation), Conversation | None, writes=False
        )
        return answer

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; see `ports.directory.Members`."""
        answer: Mapping[Username, Role] = await self._ask(
            "members", internal.OfConversation(conversation), dict[Username, Role], writes=False
        )
        return answer

    async def members_of(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Mapping[Username, Role]]:
        """Return who is in each of several; see `ports.directory.ManyMembers`."""
        answer: Mapping[ConversationId, Mapping[Username, Role]] = await self._ask(
            "members_of",
            internal.OfConversations(list(conversations)),
            dict[ConversationId, dict[Username, Role]],
            writes=False,
        )
        return answer

    async def add_member(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
        key: CreationKey | None = None,
    ) -> None:
        """Let a user in; see `ports.directory.Conversations`."""
        new = internal.AddMember(conversation, username, role, by, key)
        await self._ask("add_member", new, None, writes=True)

    async def change_role(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
    ) -> None:
        """Give a member another role; see `ports.directory.Conversations`."""
        change = internal.ChangeRole(conversation, username, role, by)
        await self._ask("change_role", change, None, writes=True)

    async def remove_member(
        self, conversation: ConversationId, username: Username, by: Username | None = None
    ) -> None:
        """Remove a member; see `ports.directory.Conversations`."""
        change = internal.RemoveMember(conversation, username, by)
        await self._ask("remove_member", change, None, writes=True)

    async def change_conversation(
        self,
        conversation: ConversationId,
        changes: ConversationChanges,
        by: Username | None = None,
    ) -> Conversation:
        """Change its title or notes; see `ports.directory.Conversations`."""
        change = internal.ChangeConversation(conversation, changes, by)
        changed: Conversation = await self._ask(
            "change_conversation", change, Conversation, writes=True
        )
        return changed

    async def delete_conversation(
        self, conversation: ConversationId, by: Username | None = None
    ) -> None:
        """End a conversation; see `ports.directory.Conversations`."""
        change = internal.DeleteConversation(conversation, by)
        await self._ask("delete_conversation", change, None, writes=True)

    async def ping(self) -> None:
        """Return when the directory can answer."""
        await self._ask("ping", internal.Ping(), None, writes=False)


class HttpMemberships:
    """The port `ports.directory.Memberships`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def of_user(self, username: Username) -> Sequence[JoinedConversation]:
        """Return all memberships of a user; see `ports.directory.Memberships`."""
        answer: Sequence[JoinedConversation] = await self._ask(
            "memberships_of", internal.OfUser(username), list[JoinedConversation], writes=False
        )
        return answer

    async def details(
        self, conversations: Sequence[ConversationId], viewer: Username
    ) -> Mapping[ConversationId, Detail]:
        """Return what a member sees of conversations; see `ports.directory.Memberships`."""
        found: dict[ConversationId, Detail] = {}
        for some in slices(conversations, DETAILS_AT_ONCE):
            found |= await self._ask(
                "details",
                internal.Details(list(some), viewer),
                dict[ConversationId, Detail],
                writes=False,
            )
        return found

    async def shared(
        self, viewer: Username, usernames: Sequence[Username]
    ) -> Mapping[Username, ConversationId]:
        """Return a conversation in common with each; see `ports.directory.Memberships`."""
        answer: Mapping[Username, ConversationId] = await self._ask(
            "shared",
            internal.Shared(viewer, list(usernames)),
            dict[Username, ConversationId],
            writes=False,
        )
        return answer


class HttpSessions:
    """The port `ports.sessions.Sessions`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def start(
        self, session: Session, refresh: RefreshHashes, password_hash: bytes | None = None
    ) -> None:
        """Store a new session; see `ports.sessions.Sessions`."""
        new = internal.StartSession(session, refresh, password_hash)
        await self._ask("start_session", new, None, writes=True)

    async def get(self, session: SessionId) -> Session | None:
        """Return the session; see `ports.sessions.LiveSessions`."""
        answer: Session | None = await self._ask(
            "session", internal.OfSession(session), Session | None, writes=False
        )
        return answer

    async def get_each(self, sessions: Sequence[SessionId]) -> Mapping[SessionId, Session]:
        """Return those that there are; see `ports.sessions.LiveSessions`."""
        answer: Mapping[SessionId, Session] = await self._ask(
            "sessions", internal.OfSessions(list(sessions)), dict[SessionId, Session], writes=False
        )
        return answer

    async def rotate(
        self,
        spent: RefreshHashes,
        token: bytes,
        now: int,
        expires_at: int,
        others: Sequence[bytes] = (),
    ) -> Rotation:
        """Replace a spent token by the next one; see `ports.sessions.Sessions`."""
        answer: Rotation = await self._ask(
            "rotate_session",
            internal.Rotate(spent, token, now, expires_at, list(others)),
            Rotation,
            writes=True,
        )
        return answer

    async def of_user(self, username: Username) -> Sequence[Session]:
        """Return a user's sessions; see `ports.sessions.Sessions`."""
        answer: Sequence[Session] = await self._ask(
            "sessions_of", internal.OfUser(username), list[Session], writes=False
        )
        return answer

    async def end(
        self, session: SessionId, username: Username | None = None, by: SessionId | None = None
    ) -> None:
        """End a session; see `ports.sessions.Sessions`."""
        ending = internal.EndSession(session, username, by)
        await self._ask("end_session", ending, None, writes=True)


class HttpCreations:
    """The port `ports.creations.Creations`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def find(self, scope: Username, key: str) -> KeptCreation | None:
        """Return the creation that is kept under a key; see `ports.creations`."""
        answer: KeptCreation | None = await self._ask(
            "creation", internal.FindCreation(scope, key), KeptCreation | None, writes=False
        )
        return answer


class HttpOutbox:
    """The port `ports.outbox.Outbox`, to be read; the service trims its own."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def after(self, position: int | None) -> OutboxPage:
        """Return what changed after a position; see `ports.outbox.Outbox`."""
        page: OutboxPage = await self._ask(
            "outbox", internal.After(position), OutboxPage, writes=False
        )
        return page


def http_people(service: MetadataService) -> PeoplePorts:
    """Return the ports that ask a service."""
    return PeoplePorts(
        HttpUsers(service),
        HttpDirectory(service),
        HttpMemberships(service),
        HttpSessions(service),
        HttpCreations(service),
        HttpUploads(service),
        HttpFiles(service),
        HttpFileUses(service),
        HttpSharing(service),
        HttpScans(service),
    )
