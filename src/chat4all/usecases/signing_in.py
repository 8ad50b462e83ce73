"""Sign in, know who is asking, sign out."""

import time
import uuid

from chat4all.domain.errors import NotSignedIn
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import Session
from chat4all.ports import AccessToken, Passwords, Sessions, Tokens, Users


class SigningIn:
    """Turns passwords into tokens and tokens into users."""

    def __init__(
        self,
        users: Users,
        sessions: Sessions,
        passwords: Passwords,
        tokens: Tokens,
        lifetime_seconds: int,
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._lifetime_seconds = lifetime_seconds

    async def sign_in(self, username: str, password: str) -> AccessToken:
        """Start a session. An unknown user and a wrong password are refused alike."""
        name = Username(username)
        known = await self._users.password_hash(name)
        if not await self._passwords.verify(password, known):
            raise NotSignedIn("wrong username or password")
        now = int(time.time())
        session = Session(SessionId(str(uuid.uuid4())), name, now + self._lifetime_seconds)
        await self._sessions.start(session)
        return self._tokens.issue(session, now)

    async def authenticate(self, token: str) -> Session:
        """Return whose good token this is. Raises `NotSignedIn` for any other.

        The signature says that we made it, the session that nobody has ended it since.
        """
        session = self._tokens.read(token, int(time.time()))
        known = await self._sessions.get(session.session_id)
        if known is None or known.username != session.username:
            raise NotSignedIn("this session has ended")
        return session

    async def sign_out(self, session: Session) -> None:
        """End a session; its token is refused from now on."""
        await self._sessions.end(session.session_id)
