"""Answers of the directory and the sessions, kept until somebody says that they may not hold.

Every send and every read asks who is in the conversation and whether the session stands; nearly
always the answer was given before. Whatever is changed through these wrappers is forgotten before
the change is acknowledged. On one machine nothing can change behind their back: who opens the data
folder holds it alone (`DataFolder`). Elsewhere somebody has to tell them (`metadata_http`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from cachetools import Cache, LRUCache, TTLCache

from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Conversation, ConversationChanges, Role, Session
from chat4all.domain.refresh_tokens import RefreshHashes
from chat4all.ports import Directory, Rotation, Sessions, Users

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


class RememberingUsers:
    """Users of whom it is remembered under which names they are shown."""

    def __init__(self, users: Users, keep_seconds: float | None = None) -> None:
        self._users = users
        self._aliases: Remembered[Username, Username | None] = Remembered(self._alias, keep_seconds)
        self.add_user = users.add_user
        self.user = users.user
        self.find_users = users.find_users
        self.password_hash = users.password_hash
        self.change_user = users.change_user
        self.disable_user = users.disable_user

    async def erase_user(self, username: Username) -> None:
        """Erase a user; see `ports.Users`."""
        try:
            await self._users.erase_user(username)
        finally:
            self._aliases.forget(username)

    async def aliases(self, usernames: Sequence[Username]) -> Mapping[Username, Username]:
        """Return the names that erased users are shown under; see `ports.Users`."""
        found = await asyncio.gather(*map(self._aliases.get, usernames))
        return {
            username: alias
            for username, alias in zip(usernames, found, strict=True)
            if alias is not None
        }

    async def _alias(self, username: Username) -> Username | None:
        return (await self._users.aliases([username])).get(username)


class RememberingDirectory:
    """A Directory that is asked for a conversation's members once in a while, not every time."""

    def __init__(self, directory: Directory, keep_seconds: float | None = None) -> None:
        self._directory = directory
        self._members: Remembered[ConversationId, Mapping[Username, Role]] = Remembered(
            directory.members, keep_seconds
        )
        self.ping = directory.ping

    async def add_conversation(self, conversation: Conversation) -> Conversation:
        """Create a conversation; see `ports.Directory`."""
        with self._changing(conversation.conversation_id):
            return await self._directory.add_conversation(conversation)

    async def conversation(self, conversation: ConversationId) -> Conversation | None:
        """Return a conversation; see `ports.Directory`."""
        return await self._directory.conversation(conversation)

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; see `ports.Directory`."""
        return await self._members.get(conversation)

    async def add_member(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
    ) -> None:
        """Let a user in; see `ports.Directory`."""
        with self._changing(conversation):
            await self._directory.add_member(conversation, username, role, by)

    async def change_role(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
    ) -> None:
        """Give a member another role; see `ports.Directory`."""
        with self._changing(conversation):
            await self._directory.change_role(conversation, username, role, by)

    async def remove_member(
        self, conversation: ConversationId, username: Username, by: Username | None = None
    ) -> None:
        """Remove a member; see `ports.Directory`."""
        with self._changing(conversation):
            await self._directory.remove_member(conversation, username, by)

    async def change_conversation(
        self,
        conversation: ConversationId,
        changes: ConversationChanges,
        by: Username | None = None,
    ) -> None:
        """Change its title or notes; see `ports.Directory`."""
        with self._changing(conversation):
            await self._directory.change_conversation(conversation, changes, by)

    async def delete_conversation(
        self, conversation: ConversationId, by: Username | None = None
    ) -> None:
        """End a conversation; see `ports.Directory`."""
        with self._changing(conversation):
            await self._directory.delete_conversation(conversation, by)

    @contextmanager
    def _changing(self, conversation: ConversationId) -> Iterator[None]:
        # Also when it failed: it may have been done all the same.
        try:
            yield
        finally:
            self._members.forget(conversation)


class RememberingSessions:
    """Sessions that are asked for once in a while, not at every request."""

    def __init__(self, sessions: Sessions, keep_seconds: float | None = None) -> None:
        self._sessions = sessions
        self.of_user = sessions.of_user
        self._known: Remembered[SessionId, Session | None] = Remembered(sessions.get, keep_seconds)

    async def start(
        self, session: Session, refresh: RefreshHashes, password_hash: bytes | None = None
    ) -> None:
        """Keep a new session; see `ports.Sessions`."""
        try:
            await self._sessions.start(session, refresh, password_hash)
        finally:
            self._known.forget(session.session_id)

    async def get(self, session: SessionId) -> Session | None:
        """Return the session; see `ports.Sessions`."""
        return await self._known.get(session)

    async def rotate(
        self, spent: RefreshHashes, token: bytes, now: int, expires_at: int
    ) -> Rotation:
        """Put another token in the place of a spent one; see `ports.Sessions`."""
        found = await self._sessions.rotate(spent, token, now, expires_at)
        if found.ended is not None:
            self._known.forget(found.ended)
        elif found.session is not None:
            self._known.forget(found.session.session_id)
        return found

    async def end(self, session: SessionId, username: Username | None = None) -> None:
        """End a session; see `ports.Sessions`."""
        try:
            await self._sessions.end(session, username)
        finally:
            self._known.forget(session)
