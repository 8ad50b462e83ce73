"""Answers of the directory and the sessions, kept until somebody says that they may not hold.

Every send and every read asks who is in the conversation and whether the session stands; nearly
always the answer was given before. Whatever is changed through these wrappers is forgotten before
the change is acknowledged. On one machine nothing can change behind their back: who opens the data
folder holds it alone (`DataFolder`). Elsewhere somebody has to tell them (`metadata_http`).
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

from cachetools import Cache, LRUCache, TTLCache

from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Conversation, Role, Session, User
from chat4all.ports import Directory, Sessions

ENTRIES = 20_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Answers of `load`, each until it is forgotten, or for some seconds at most."""

    def __init__(
        self, load: Callable[[K], Awaitable[V]], keep_seconds: float | None = None
    ) -> None:
        self._load = load
        self._known: Cache[K, V] = (
            LRUCache(ENTRIES) if keep_seconds is None else TTLCache(ENTRIES, keep_seconds)
        )
        self._changes = 0

    async def get(self, key: K) -> V:
        """Return what is known, or else what `load` says now."""
        try:
            return self._known[key]
        except KeyError:
            pass
        before = self._changes
        value = await self._load(key)
        # An answer that was on its way while something changed may be of before the change.
        if before == self._changes:
            self._known[key] = value
        return value

    def forget(self, key: K) -> None:
        """Make the next `get` ask again, and no answer under way be kept."""
        self._changes += 1
        self._known.pop(key, None)

    def forget_all(self) -> None:
        """Make every next `get` ask again, and no answer under way be kept."""
        self._changes += 1
        self._known.clear()


class RememberingDirectory:
    """A Directory that is asked for a conversation's members once in a while, not every time."""

    def __init__(self, directory: Directory, keep_seconds: float | None = None) -> None:
        self._directory = directory
        self._members: Remembered[ConversationId, Mapping[Username, Role]] = Remembered(
            directory.members, keep_seconds
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

    def __init__(self, sessions: Sessions, keep_seconds: float | None = None) -> None:
        self._sessions = sessions
        self._known: Remembered[SessionId, Session | None] = Remembered(sessions.get, keep_seconds)

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
