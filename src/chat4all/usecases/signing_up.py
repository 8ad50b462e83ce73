"""Sign up: create a user."""

from chat4all.domain.errors import InvalidInput, NotAllowed
from chat4all.domain.ids import Username
from chat4all.domain.passwords import password_errors
from chat4all.domain.people import User, username_errors
from chat4all.domain.times import now_utc
from chat4all.ports.security import Passwords
from chat4all.ports.users import Registrations


class SigningUp:
    """Creates users whose names and passwords are valid."""

    def __init__(self, users: Registrations, passwords: Passwords, *, is_open: bool = True) -> None:
        self._users = users
        self._passwords = passwords
        self._is_open = is_open

    async def sign_up(self, username: str, email: str, password: str) -> User:
        """Create a user.

        Raises `NotAllowed` where sign-up is closed, `InvalidInput`, or `AlreadyTaken` for a name or
        an e-mail in use.
        """
        if not self._is_open:
            raise NotAllowed("sign-up is closed here: ask whoever runs this server for an account")
        errors = username_errors(username) + password_errors(password)
        if errors:
            raise InvalidInput(errors)
        user = User(Username(username), email, now_utc())
        await self._users.add_user(user, await self._passwords.hash(password))
        return user
