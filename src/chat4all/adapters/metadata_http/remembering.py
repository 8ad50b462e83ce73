"""What a gateway remembers of the metadata service, as long as `Following` says that it holds."""

from collections.abc import Mapping, Sequence

from cachetools import TTLCache

from chat4all.adapters.metadata_http.following import Following
from chat4all.adapters.remembered import Remembered
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Conversation, Role, Session, User
from chat4all.ports import Directory, OutboxEntry, Sessions, Subject

ENTRIES = 20_000

KEPT_SECONDS = 300.0
"""Asked again after that in any case: a change whose transaction took effect so late that the
outbox was read past it was never acknowledged, but is made all the same."""


class FollowingDirectory:
    """A Directory whose members are remembered. While that does not hold, they are not told."""

    def __init__(self, directory: Directory, following: Following) -> None:
        self._directory = directory
        self._following = following
        self._members: Remembered[ConversationId, Mapping[Username, Role]] = Remembered(
            directory.members, TTLCache(ENTRIES, KEPT_SECONDS)
        )
        following.tells(self)
        self.user = directory.user
        self.password_hash = directory.password_hash
        self.conversation = directory.conversation
        self.ping = directory.ping

    def forget(self, entries: Sequence[OutboxEntry]) -> None:
        """Forget what these entries are about."""
        for entry in entries:
            if entry.subject is Subject.MEMBERS:
                self._members.forget(ConversationId(entry.key))

    def forget_all(self) -> None:
        """Forget everything."""
        self._members.forget_all()

    async def add_user(self, user: User, password_hash: bytes) -> None:
        """Create a user; see `ports.Directory`."""
        await self._directory.add_user(user, password_hash)

    async def add_conversation(self, conversation: Conversation) -> Conversation:
        """Create a conversation; see `ports.Directory`."""
        try:
            return await self._directory.add_conversation(conversation)
        finally:
            self._members.forget(conversation.conversation_id)

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; see `ports.Directory`."""
        self._following.require()
        return await self._members.get(conversation)

    async def add_member(
        self, conversation: ConversationId, username: Username, role: Role
    ) -> None:
        """Let a user in; see `ports.Directory`."""
        try:
            await self._directory.add_member(conversation, username, role)
        finally:
            self._members.forget(conversation)


class FollowingSessions:
    """Sessions that are remembered. While that does not hold, nobody is taken for signed in."""

    def __init__(self, sessions: Sessions, following: Following) -> None:
        self._sessions = sessions
        self._following = following
        self._known: Remembered[SessionId, Session | None] = Remembered(
            sessions.get, TTLCache(ENTRIES, KEPT_SECONDS)
        )
        following.tells(self)

    def forget(self, entries: Sequence[OutboxEntry]) -> None:
        """Forget what these entries are about."""
        for entry in entries:
            if entry.subject is Subject.SESSION:
                self._known.forget(SessionId(entry.key))

    def forget_all(self) -> None:
        """Forget everything."""
        self._known.forget_all()

    async def start(self, session: Session) -> None:
        """Keep a new session; see `ports.Sessions`."""
        try:
            await self._sessions.start(session)
        finally:
            self._known.forget(session.session_id)

    async def get(self, session: SessionId) -> Session | None:
        """Return the session; see `ports.Sessions`."""
        self._following.require()
        return await self._known.get(session)

    async def end(self, session: SessionId) -> None:
        """End a session; see `ports.Sessions`."""
        try:
            await self._sessions.end(session)
        finally:
            self._known.forget(session)
