"""What one process may remember of the directory and the sessions, being the only one to write.

Every send and every read asks who is in the conversation and whether the session stands; nearly
always the answer was given before. Whatever is changed through these wrappers is forgotten before
the change is acknowledged. Nothing can change behind their back: who opens the data folder holds
it alone (`DataFolder`).
"""

from collections.abc import Mapping

from cachetools import LRUCache

from chat4all.adapters.remembered import Remembered
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Conversation, Role, Session, User
from chat4all.ports import Directory, Sessions

ENTRIES = 20_000


class RememberingDirectory:
    """A Directory that is asked for a conversation's members once in a while, not every time."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._members: Remembered[ConversationId, Mapping[Username, Role]] = Remembered(
            directory.members, LRUCache(ENTRIES)
        )
        self.user = directory.user
        self.password_hash = directory.password_hash
        self.conversation = directory.conversation
        self.ping = directory.ping

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
        return await self._members.get(conversation)

    async def add_member(
        self, conversation: ConversationId, username: Username, role: Role
    ) -> None:
        """Let a user in; see `ports.Directory`."""
        try:
            await self._directory.add_member(conversation, username, role)
        finally:
            self._members.forget(conversation)


class RememberingSessions:
    """Sessions that are asked for once in a while, not at every request."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._known: Remembered[SessionId, Session | None] = Remembered(
            sessions.get, LRUCache(ENTRIES)
        )

    async def start(self, session: Session) -> None:
        """Keep a new session; see `ports.Sessions`."""
        try:
            await self._sessions.start(session)
        finally:
            self._known.forget(session.session_id)

    async def get(self, session: SessionId) -> Session | None:
        """Return the session; see `ports.Sessions`."""
        return await self._known.get(session)

    async def end(self, session: SessionId) -> None:
        """End a session; see `ports.Sessions`."""
        try:
            await self._sessions.end(session)
        finally:
            self._known.forget(session)
