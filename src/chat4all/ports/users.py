"""Users, and the aliases of those who were erased."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chat4all.domain.creations import CreationKey
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import User, UserChanges


class Registrations(Protocol):
    """Where new users are stored."""

    async def add_user(
        self, user: User, password_hash: bytes, key: CreationKey | None = None
    ) -> None:
        """Create a user, and keep that under `key`.

        Raises `AlreadyTaken` when the username or the e-mail is in use. A username is in use for
        ever, also when its user was erased.
        """
        ...


class Credentials(Protocol):
    """What a sign-in is checked against."""

    async def password_hash(self, username: Username) -> bytes | None:
        """Return the hash of this user's password; None for a user who may not sign in."""
        ...

    async def rehash_password(self, username: Username, known: bytes, new: bytes) -> None:
        """Store another hash of the same password, unless the hash is not `known` any more."""
        ...


class SignUps(Registrations, Credentials, Protocol):
    """What a sign-up needs."""


class UserLookup(Protocol):
    """Who there is."""

    async def user(self, username: Username) -> User | None:
        """Return the user of this name, if there is one that was not erased."""
        ...


class Users(UserLookup, Protocol):
    """Users' profiles."""

    async def find_users(
        self, prefix: str, limit: int, after: str = "", *, contacts_of: Username | None = None
    ) -> Sequence[User]:
        """Return users above the name `after`, by name, at most `limit`.

        With a `prefix` only those whose username or display name begins with it, in any case and
        spelling; with `contacts_of` only those who are in a conversation with that user. Disabled
        users are left out.
        """
        ...

    async def change_user(
        self,
        username: Username,
        changes: UserChanges,
        keep: SessionId | None = None,
        verified: bytes | None = None,
    ) -> User:
        """Change a user and return them as they are now.

        `keep` is the caller's session, which a new password does not end; None is an operator.
        `verified` is the hash that the current password was compared with. Both are compared again
        in the transaction that makes the change: raises `NotSignedIn` when that session has ended,
        `NotAllowed` when the password is another one by now. Raises `NotFound`, and `AlreadyTaken`
        for an e-mail in use.
        """
        ...

    async def erase_user(self, username: Username, session: SessionId | None = None) -> None:
        """Erase a user's personal data, and end their sessions and memberships.

        `session` is the caller's: raises `NotSignedIn` when it has ended; None is an operator.
        Raises `NotFound`. Their messages stay, under an alias (`Aliases`). What becomes of a group
        that they owned is in `domain.roles`.
        """
        ...


class Aliases(Protocol):
    """The names that erased users are shown under."""

    async def aliases(self, usernames: Sequence[Username]) -> Mapping[Username, Username]:
        """Return the aliases of erased users; others are left out."""
        ...


class AllUsers(Registrations, Credentials, Users, Aliases, Protocol):
    """What the services ask about users, where one adapter answers all of it."""
