"""Sessions. A token is valid only while its session exists."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import Session
from chat4all.domain.refresh_tokens import RefreshHashes


class Rotation(NamedTuple):
    """The outcome of a refresh: the session that continues, or the id of the one that was ended."""

    session: Session | None = None
    ended: SessionId | None = None
    token: bytes | None = None
    """The hash of the token that is the last one now."""


SESSIONS_ASKED_MAX = 100
"""Sessions of one question to `LiveSessions.get_each`."""


class LiveSessions(Protocol):
    """The check that every request makes."""

    async def get(self, session: SessionId) -> Session | None:
        """Return the session, if it was started and has not been ended."""
        ...

    async def get_each(self, sessions: Sequence[SessionId]) -> Mapping[SessionId, Session]:
        """Return those of at most `SESSIONS_ASKED_MAX` sessions that there are, as `get` does."""
        ...


class Sessions(LiveSessions, Protocol):
    """Sessions: starting, refreshing, listing and ending them."""

    async def start(
        self, session: Session, refresh: RefreshHashes, password_hash: bytes | None = None
    ) -> None:
        """Store a new session with its first refresh token.

        A user has a thousand at most: one more ends the least recently used one.

        `password_hash` is what the password was compared with: if that is no longer the user's, or
        the user may no longer sign in, it raises `NotSignedIn`. Raises `AlreadyTaken` when the id
        is in use.
        """
        ...

    async def rotate(
        self,
        spent: RefreshHashes,
        token: bytes,
        now: int,
        expires_at: int,
        others: Sequence[bytes] = (),
    ) -> Rotation:
        """Replace the hash of a refresh token that is spent now by that of the next, `token`.

        The session then lasts until `expires_at`. A token that was spent before continues its
        session only if that is less than `REPEAT_SECONDS` ago by the database's clock, and the
        last token is its successor: `token`, or one of `others`, its successors under other keys.
        Otherwise two clients have it, one of which may have stolen it: its session is ended.
        Without such a session all fields of the `Rotation` are None. Raises `Unavailable` for one
        that has expired by a clock, `now`, that was set within the last hour: it may be good.
        """
        ...

    async def of_user(self, username: Username) -> Sequence[Session]:
        """Return a user's sessions, the last used one first."""
        ...

    async def end(
        self, session: SessionId, username: Username | None = None, by: SessionId | None = None
    ) -> None:
        """End a session; does nothing when there is none.

        With a `username`, only that user's: raises `NotFound` for any other. `by` is the session
        that asks: raises `NotSignedIn` when it has ended.
        """
        ...
