"""Sign in, authenticate requests, refresh and end sessions."""

import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from chat4all.domain.errors import InvalidGrant, NotFound, NotSignedIn, Unavailable
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import DEVICE_MAX, Session, TokenPair
from chat4all.domain.refresh_tokens import (
    RefreshHashes,
    new_refresh_token,
    refresh_hashes,
)
from chat4all.domain.text import fit_line, is_name
from chat4all.ports.security import Passwords, Tokens
from chat4all.ports.sessions import Sessions
from chat4all.ports.users import Credentials


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things last without use, in seconds."""

    access_token: int
    session: int


class SigningIn:
    """Exchanges passwords for tokens, and authenticates requests by their tokens."""

    def __init__(
        self,
        credentials: Credentials,
        sessions: Sessions,
        passwords: Passwords,
        tokens: Tokens,
        lifetimes: Lifetimes,
    ) -> None:
        self._credentials = credentials
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._lifetimes = lifetimes

    async def sign_in(self, username: str, password: str, device: str = "") -> TokenPair:
        """Start a session. An unknown user and a wrong password are refused alike.

        `device` is the client's description of itself (`User-Agent`).
        """
        name = Username(username)
        password_hash = await self._credentials.password_hash(name) if is_name(name) else None
        is_right = await self._passwords.verify(password, password_hash)
        if password_hash is None or not is_right:
            # Who is nobody is not logged: it may be a password in the wrong field.
            account = None if password_hash is None else name
            raise NotSignedIn("wrong username or password", account)
        now = int(time.time())
        session = Session(
            SessionId(str(uuid.uuid4())),
            name,
            now + self._lifetimes.session,
            created_at=now,
            used_at=now,
            device=fit_line(device, DEVICE_MAX),
        )
        token = new_refresh_token()
        try:
            await self._sessions.start(session, _hashes(token), password_hash)
        except NotSignedIn:
            # Another sign-in may have stored the hash of this password's normal form meanwhile.
            changed = await self._credentials.password_hash(name)
            if changed == password_hash or not await self._passwords.verify(password, changed):
                raise
            await self._sessions.start(session, _hashes(token), changed)
            return self._pair(session, token, now)
        await self._rehash(name, password, password_hash)
        return self._pair(session, token, now)

    async def refresh(self, token: str) -> TokenPair:
        """Continue a session. This spends the token: the answer has the next one.

        The same token again is answered with that very next one, for a short time and while it is
        unused: an answer may have been lost. A token that was spent before otherwise ends its
        session: two clients have it, one of which may have stolen it. Raises `InvalidGrant` for
        that and for every invalid token.
        """
        spent = refresh_hashes(token)
        if spent is not None:
            now = int(time.time())
            successors = {_hashes(one).token: one for one in self._tokens.refresh_successors(token)}
            following, *others = successors
            rotation = await self._sessions.rotate(
                spent, following, now, now + self._lifetimes.session, others
            )
            if rotation.session is not None:
                last = successors[rotation.token or following]
                return self._pair(rotation.session, last, now)
        raise InvalidGrant("this refresh token is not good: sign in again")

    async def authenticate(self, token: str) -> Session:
        """Return the session of a valid access token. Raises `NotSignedIn` for any other.

        The signature proves that we issued it; the session is looked up because it may have ended.
        """
        session = self._tokens.read(token, int(time.time()))
        stored = await self._sessions.get(session.session_id)
        if stored is None or stored.username != session.username:
            raise NotSignedIn("this session has ended")
        return session

    async def sessions(self, username: Username) -> Sequence[Session]:
        """Return a user's sessions, the last used one first."""
        return await self._sessions.of_user(username)

    async def end(self, caller: Session, session: SessionId) -> None:
        """End one of the caller's sessions. Raises `NotFound` for any other."""
        await self._sessions.end(session, caller.username, caller.session_id)

    async def sign_out(self, session: Session) -> None:
        """End a session; its tokens are refused from now on."""
        await self._sessions.end(session.session_id)

    async def _rehash(self, username: Username, password: str, password_hash: bytes) -> None:
        """Store the hash of the normal form, for a password that was hashed as it was sent.

        If that fails, the next sign-in tries again; a metadata service of an earlier release
        answers that it cannot.
        """
        with suppress(Unavailable, NotFound):
            new = await self._passwords.rehashed(password, password_hash)
            if new is not None:
                await self._credentials.rehash_password(username, password_hash, new)

    def _pair(self, session: Session, refresh_token: str, now: int) -> TokenPair:
        access = self._tokens.issue(session, now, self._lifetimes.access_token)
        return TokenPair(access, refresh_token)


def _hashes(token: str) -> RefreshHashes:
    hashes = refresh_hashes(token)
    if hashes is None:
        raise ValueError("not a token of ours")
    return hashes
