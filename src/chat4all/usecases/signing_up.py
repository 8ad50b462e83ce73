"""Sign up: create a user."""

from functools import partial

from chat4all.domain.errors import InvalidInput, NotAllowed
from chat4all.domain.ids import Username
from chat4all.domain.passwords import password_errors
from chat4all.domain.people import User, username_errors
from chat4all.domain.times import now_utc
from chat4all.ports.creations import Creations
from chat4all.ports.security import Passwords
from chat4all.ports.users import SignUps
from chat4all.usecases.repeating import Repeating, another_request, creation_key


class SigningUp:
    """Creates users whose names and passwords are valid."""

    def __init__(
        self,
        users: SignUps,
        passwords: Passwords,
        creations: Creations,
        *,
        is_open: bool = True,
    ) -> None:
        self._users = users
        self._repeating = Repeating(creations, User)
        self._passwords = passwords
        self._is_open = is_open

    async def sign_up(
        self,
        username: str,
        email: str,
        password: str,
        display_name: str | None = None,
        *,
        key: str | None = None,
    ) -> User:
        """Create a user; with a `key` that was used for the same sign-up, return that user.

        Raises `NotAllowed` where sign-up is closed, `InvalidInput`, or `AlreadyTaken` for a name or
        an e-mail in use.
        """
        if not self._is_open:
            raise NotAllowed("sign-up is closed here: ask whoever runs this server for an account")
        errors = username_errors(username) + password_errors(password)
        if errors:
            raise InvalidInput(errors)
        name = Username(username)
        once = creation_key(name, key, "sign-up", name, email, display_name)

        async def create() -> User:
            user = User(name, email, now_utc(), display_name)
            await self._users.add_user(user, await self._passwords.hash(password), once)
            return user

        return await self._repeating.once(once, create, partial(self._may_repeat, password))

    async def _may_repeat(self, password: str, user: User) -> None:
        password_hash = await self._users.password_hash(user.username)
        if not await self._passwords.verify(password, password_hash):
            raise another_request()
