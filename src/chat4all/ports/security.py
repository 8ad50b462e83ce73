"""Passwords and the tokens that stand for them."""

from typing import Protocol

from chat4all.domain.people import AccessToken, Session


class Passwords(Protocol):
    """Hashing that is slow on purpose, off the event loop."""

    async def hash(self, password: str) -> bytes:
        """Return a salted hash. Raises `Overloaded` when too many wait."""
        ...

    async def verify(self, password: str, password_hash: bytes | None) -> bool:
        """Say whether the password is the one hashed.

        With no hash the answer is no, after the time that a comparison takes: an unknown user
        must not answer faster than a wrong password.
        """
        ...


class Tokens(Protocol):
    """Signed access tokens."""

    def issue(self, session: Session, now: int, lifetime_seconds: int) -> AccessToken:
        """Sign a token that is good for so long, and not longer than its session.

        `now` in seconds since 1970.
        """
        ...

    def read(self, token: str, now: int) -> Session:
        """Return whose token this is; `expires_at` is the token's own.

        Raises `NotSignedIn` for any that is not good now.
        """
        ...
