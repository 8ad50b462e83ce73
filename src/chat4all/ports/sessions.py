"""Who is signed in. A token is good only while its session is kept."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import Session
from chat4all.domain.refresh_tokens import RefreshHashes


class Rotation(NamedTuple):
    """What came of a refresh token: the session that goes on, or the one that was ended."""

    session: Session | None = None
    ended: SessionId | None = None


class LiveSessions(Protocol):
    """The check that every request makes."""

    async def get(self, session: SessionId) -> Session | None:
        """Return the session, if it was started and has not been ended."""
        ...


class Sessions(LiveSessions, Protocol):
    """Sessions, and what begins, continues and ends them."""

    async def start(
        self, session: Session, refresh: RefreshHashes, password_hash: bytes | None = None
    ) -> None:
        """Keep a new session, with the first token that refreshes it.

        A user has a thousand at most: with one more, the one not used for longest is ended.

        `password_hash` is what the password was compared with: if that is no longer the user's, or
        the user may no longer sign in, it raises `NotSignedIn`. Raises `AlreadyTaken` when the id
        is in use.
        """
        ...

    async def rotate(
        self, spent: RefreshHashes, token: bytes, now: int, expires_at: int
    ) -> Rotation:
        """Put the hash of another token in the place of the one that is spent now.

        The session then lasts until `expires_at`. A token that is not its family's last one was
        spent before, by a thief or by the person who was robbed: its session is ended. Neither is
        the case when there is no such session.
        """
        ...

    async def of_user(self, username: Username) -> Sequence[Session]:
        """Return a user's sessions, the last used one first."""
        ...

    async def end(self, session: SessionId, username: Username | None = None) -> None:
        """End a session; one that is not there is ended already.

        With a `username`, only that user's: raises `NotFound` for any other.
        """
        ...
