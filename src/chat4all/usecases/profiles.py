"""Read profiles; change or erase one's own."""

import time
from collections.abc import Sequence
from typing import assert_never

from chat4all.domain.errors import FieldError, InvalidInput, NotAllowed, NotFound
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.passwords import password_errors
from chat4all.domain.people import USERNAME_MAX, User, UserChanges, UserSearch
from chat4all.domain.people import display_name as normal_display_name
from chat4all.domain.text import UnfitText, search_key
from chat4all.ports.security import Passwords
from chat4all.ports.sessions import LiveSessions
from chat4all.ports.users import Credentials, Users

FIND_LIMIT_DEFAULT = 50
FIND_LIMIT_MAX = 200

JUST_SIGNED_IN_SECONDS = 600

CURRENT_ONE_NEEDED = "needed for a new password"

CLOCKS_APART_SECONDS = 60
"""How much later than now a session of another gateway may have begun. One that began later than
that did while a clock was ahead, which says nothing of when.
"""


class Profiles:
    """Reads any user's profile, and changes or erases the caller's own."""

    def __init__(
        self,
        users: Users,
        credentials: Credentials,
        sessions: LiveSessions,
        passwords: Passwords,
        search: UserSearch,
    ) -> None:
        self._users = users
        self._credentials = credentials
        self._sessions = sessions
        self._passwords = passwords
        self._search = search

    async def user(self, username: Username) -> User:
        """Return a user. Raises `NotFound`."""
        user = await self._users.user(username)
        if user is None:
            raise NotFound("no such user")
        return user

    async def find(
        self, viewer: Username, prefix: str, limit: int, after: str
    ) -> tuple[Sequence[User], Username | None]:
        """Return users whose name has this prefix, and the name to continue after, if any.

        They are those whom `viewer` may find; a username in full finds its user.
        """
        users: Sequence[User]
        match self._search:
            case UserSearch.EVERYBODY:
                users = await self._users.find_users(prefix, limit + 1, after)
            case UserSearch.CONTACTS:
                users = await self._users.find_users(prefix, limit + 1, after, contacts_of=viewer)
                users = await self._with_named(prefix, after, users)
            case UserSearch.NOBODY:
                users = await self._with_named(prefix, after, ())
            case _:
                assert_never(self._search)
        return users[:limit], users[limit - 1].username if len(users) > limit else None

    async def _with_named(self, name: str, after: str, users: Sequence[User]) -> Sequence[User]:
        key = search_key(name, USERNAME_MAX + 1)  # of a longer one no user is named by a part
        named = await self._users.user(Username(key)) if key > after else None
        if named is None or named.is_disabled or named in users:
            return users
        return sorted([*users, named], key=lambda user: user.username)

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
        """Change what is not None, and return the user as it is now.

        A new password ends every session but `keep`, the caller's. Except right after signing in
        it needs the current password, which a finder of a signed-in device does not know. An empty
        display name removes it. Raises `InvalidInput`, `NotAllowed` for a wrong current password,
        `NotSignedIn` when the caller's session has ended meanwhile, and `AlreadyTaken`.
        """
        errors = []
        if display_name is not None:
            try:
                display_name = normal_display_name(display_name)
            except UnfitText as error:
                errors.append(FieldError("/display_name", str(error)))
        if password is not None:
            errors += password_errors(password)
            if current_password is None and not await self.has_just_signed_in(keep):
                errors.append(FieldError("/current_password", CURRENT_ONE_NEEDED))
        if errors:
            raise InvalidInput(errors)
        password_hash = verified = None
        if password is not None:
            if current_password is not None:
                verified = await self._credentials.password_hash(username)
                if not await self._passwords.verify(current_password, verified):
                    raise NotAllowed("the current password is another one")
            password_hash = await self._passwords.hash(password)
        changes = UserChanges(display_name, email, password_hash)
        # Hashing takes a while: what was checked before is compared again with the change.
        return await self._users.change_user(username, changes, keep, verified)

    async def has_just_signed_in(self, session: SessionId | None) -> bool:
        """Say whether a new password needs no current one in this session."""
        stored = None if session is None else await self._sessions.get(session)
        if stored is None:
            return False
        ago = time.time() - stored.created_at
        return -CLOCKS_APART_SECONDS <= ago <= JUST_SIGNED_IN_SECONDS

    async def erase(self, username: Username, session: SessionId | None = None) -> None:
        """Erase a user: personal data, sessions and memberships. Messages stay, under an alias.

        `session` is the caller's; raises `NotSignedIn` when it has ended meanwhile.
        """
        await self._users.erase_user(username, session)
