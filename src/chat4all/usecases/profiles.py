"""Look at users, and change or erase oneself."""

import time
from collections.abc import Sequence

from chat4all.domain.errors import FieldError, InvalidInput, NotAllowed, NotFound
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import User, UserChanges, display_name_errors, password_errors
from chat4all.ports.security import Passwords
from chat4all.ports.sessions import LiveSessions
from chat4all.ports.users import Credentials, Users

FIND_LIMIT_DEFAULT = 50
FIND_LIMIT_MAX = 200

JUST_SIGNED_IN_SECONDS = 600


class Profiles:
    """What users know of one another, and what they may change: themselves."""

    def __init__(
        self,
        users: Users,
        credentials: Credentials,
        sessions: LiveSessions,
        passwords: Passwords,
    ) -> None:
        self._users = users
        self._credentials = credentials
        self._sessions = sessions
        self._passwords = passwords

    async def user(self, username: Username) -> User:
        """Return a user. Raises `NotFound`."""
        found = await self._users.user(username)
        if found is None:
            raise NotFound("no such user")
        return found

    async def find(
        self, prefix: str, limit: int, after: str
    ) -> tuple[Sequence[User], Username | None]:
        """Return users whose name begins so, and the name to go on after, if there are more."""
        found = await self._users.find_users(prefix, limit + 1, after)
        return found[:limit], found[limit - 1].username if len(found) > limit else None

    async def change(
        self,
        username: Username,
        *,
        display_name: str | None = None,
        email: str | None = None,
        password: str | None = None,
        current_password: str | None = None,
        keep: SessionId | None = None,
    ) -> User:
        """Change what is given, and return the user as they are now.

        A new password ends every session but `keep`, which is the asker's. It needs the current
        one, which whoever finds a signed-in device does not know; right after signing in that was
        given. An empty display name takes it away. Raises `InvalidInput`, `NotAllowed` for a wrong
        current password, and `AlreadyTaken`.
        """
        errors = [] if display_name is None else display_name_errors(display_name)
        if password is not None:
            errors += password_errors(password)
            if current_password is None and not await self._has_just_signed_in(keep):
                errors.append(FieldError("/current_password", "needed for a new password"))
        if errors:
            raise InvalidInput(errors)
        password_hash = None
        if password is not None:
            if current_password is not None:
                known = await self._credentials.password_hash(username)
                if not await self._passwords.verify(current_password, known):
                    raise NotAllowed("the current password is another one")
            password_hash = await self._passwords.hash(password)
        changes = UserChanges(display_name, email, password_hash)
        return await self._users.change_user(username, changes, keep)

    async def _has_just_signed_in(self, session: SessionId | None) -> bool:
        found = None if session is None else await self._sessions.get(session)
        return found is not None and time.time() - found.created_at <= JUST_SIGNED_IN_SECONDS

    async def erase(self, username: Username) -> None:
        """Erase a user: personal data, sessions and memberships. Messages stay, under an alias."""
        await self._users.erase_user(username)
