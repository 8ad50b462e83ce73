"""What a gateway remembers of the metadata service, as long as `Following` says that it holds."""

from collections.abc import Mapping, Sequence

from chat4all.adapters.metadata_http.following import Following
from chat4all.adapters.remembered import RememberingDirectory, RememberingSessions
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Role, Session
from chat4all.ports import Directory, OutboxEntry, Sessions, Subject

KEPT_SECONDS = 300.0
"""Asked again after that in any case: a change whose transaction took effect so late that the
outbox was read past it was never acknowledged, but is made all the same."""


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
