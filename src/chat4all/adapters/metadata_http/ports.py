"""The ports, question by question; see `wire.internal`."""

from collections.abc import Mapping

from chat4all.adapters.metadata_http.service import MetadataService
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Conversation, Role, Session, User
from chat4all.ports import OutboxPage
from chat4all.wire import internal


class HttpDirectory:
    """The port `Directory`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def add_user(self, user: User, password_hash: bytes) -> None:
        """Create a user; see `ports.Directory`."""
        await self._ask("add_user", internal.AddUser(user, password_hash), None, writes=True)

    async def user(self, username: Username) -> User | None:
        """Return a user; see `ports.Directory`."""
        found: User | None = await self._ask(
            "user", internal.OfUser(username), User | None, writes=False
        )
        return found

    async def password_hash(self, username: Username) -> bytes | None:
        """Return a user's password hash; see `ports.Directory`."""
        found: bytes | None = await self._ask(
            "password_hash", internal.OfUser(username), bytes | None, writes=False
        )
        return found

    async def add_conversation(self, conversation: Conversation) -> Conversation:
        """Create a conversation, or return the pair's first; see `ports.Directory`."""
        found: Conversation = await self._ask(
            "add_conversation", internal.AddConversation(conversation), Conversation, writes=True
        )
        return found

    async def conversation(self, conversation: ConversationId) -> Conversation | None:
        """Return a conversation; see `ports.Directory`."""
        found: Conversation | None = await self._ask(
            "conversation", internal.OfConversation(conversation), Conversation | None, writes=False
        )
        return found

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; see `ports.Directory`."""
        found: Mapping[Username, Role] = await self._ask(
            "members", internal.OfConversation(conversation), dict[Username, Role], writes=False
        )
        return found

    async def add_member(
        self, conversation: ConversationId, username: Username, role: Role
    ) -> None:
        """Let a user in; see `ports.Directory`."""
        new = internal.AddMember(conversation, username, role)
        await self._ask("add_member", new, None, writes=True)

    async def ping(self) -> None:
        """Return when the directory can answer."""
        await self._ask("ping", internal.Ping(), None, writes=False)


class HttpSessions:
    """The port `Sessions`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def start(self, session: Session) -> None:
        """Keep a new session; see `ports.Sessions`."""
        await self._ask("start_session", internal.StartSession(session), None, writes=True)

    async def get(self, session: SessionId) -> Session | None:
        """Return the session; see `ports.Sessions`."""
        found: Session | None = await self._ask(
            "session", internal.OfSession(session), Session | None, writes=False
        )
        return found

    async def end(self, session: SessionId) -> None:
        """End a session; see `ports.Sessions`."""
        await self._ask("end_session", internal.OfSession(session), None, writes=True)


class HttpOutbox:
    """The port `Outbox`, to be read; the service trims its own."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def after(self, position: int | None) -> OutboxPage:
        """Return what changed after a position; see `ports.Outbox`."""
        page: OutboxPage = await self._ask(
            "outbox", internal.After(position), OutboxPage, writes=False
        )
        return page
