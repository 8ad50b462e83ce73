"""What is remembered, as long as `Following` says that it holds."""

from collections.abc import Callable, Mapping, Sequence

from chat4all.adapters.remembering.following import Following
from chat4all.adapters.remembering.remembered import (
    RememberingDirectory,
    RememberingSessions,
    RememberingUsers,
)
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Role, Session
from chat4all.ports import Directory, OutboxEntry, Sessions, Subject, Users

KEPT_SECONDS = 300.0
"""Asked again after that in any case: a change whose transaction took effect so late that the
outbox was read past it was never acknowledged, but is made all the same."""


class FollowingUsers(RememberingUsers):
    """Users whose aliases are remembered. While that does not hold, they are not told."""

    def __init__(self, users: Users, following: Following) -> None:
        super().__init__(users, KEPT_SECONDS)
        self._following = following
        following.tells(self)

    def forget(self, entries: Sequence[OutboxEntry]) -> None:
        """Forget what these entries are about."""
        for entry in entries:
            if entry.subject is Subject.ALIAS:
                self._aliases.forget(Username(entry.key))

    def forget_all(self) -> None:
        """Forget everything."""
        self._aliases.forget_all()

    async def aliases(self, usernames: Sequence[Username]) -> Mapping[Username, Username]:
        """Return the names that erased users are shown under; see `ports.Users`."""
        self._following.require()
        return await super().aliases(usernames)


class FollowingDirectory(RememberingDirectory):
    """A Directory whose members are remembered. While that does not hold, they are not told."""

    def __init__(self, directory: Directory, following: Following) -> None:
        super().__init__(directory, KEPT_SECONDS)
        self._following = following
        following.tells(self)

    def forget(self, entries: Sequence[OutboxEntry]) -> None:
        """Forget what these entries are about."""
        for entry in entries:
            if entry.subject is Subject.MEMBERS:
                self._members.forget(ConversationId(entry.key))

    def forget_all(self) -> None:
        """Forget everything."""
        self._members.forget_all()

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; see `ports.Directory`."""
        self._following.require()
        return await super().members(conversation)


class FollowingSessions(RememberingSessions):
    """Sessions that are remembered. While that does not hold, nobody is taken for signed in."""

    def __init__(self, sessions: Sessions, following: Following) -> None:
        super().__init__(sessions, KEPT_SECONDS)
        self._following = following
        following.tells(self)

    def forget(self, entries: Sequence[OutboxEntry]) -> None:
        """Forget what these entries are about."""
        for entry in entries:
            if entry.subject is Subject.SESSION:
                self._known.forget(SessionId(entry.key))

    def forget_all(self) -> None:
        """Forget everything."""
        self._known.forget_all()

    async def get(self, session: SessionId) -> Session | None:
        """Return the session; see `ports.Sessions`."""
        self._following.require()
        return await super().get(session)


class WhenAliased:
    """Calls somebody when a user got an alias, or may have."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def forget(self, entries: Sequence[OutboxEntry]) -> None:
        """See `Rememberer`."""
        if any(entry.subject is Subject.ALIAS for entry in entries):
            self._call()

    def forget_all(self) -> None:
        """See `Rememberer`."""
        self._call()
