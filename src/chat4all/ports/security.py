"""Password hashing and access tokens."""

from collections.abc import Sequence
from typing import Protocol

from chat4all.domain.files import FileId
from chat4all.domain.ids import Username
from chat4all.domain.people import AccessToken, Session


class Passwords(Protocol):
    """Hashing that is slow on purpose, off the event loop."""

    async def hash(self, password: str) -> bytes:
        """Return a salted hash of the password's normal form.

        Raises `ValueError` for one that has none, and `Overloaded` when too many wait.
        """
        ...

    async def verify(self, password: str, password_hash: bytes | None) -> bool:
        """Say whether the password is the one hashed.

        It is when its normal form is, or the text as it was sent, which earlier releases hashed.
        Without a hash the answer is no, after the time of as many comparisons: an unknown user must
        not be refused faster than a wrong password.
        """
        ...

    async def rehashed(self, password: str, password_hash: bytes) -> bytes | None:
        """Return a new hash for a password that `verify` accepted; None where it needs none.

        It needs one where the text was hashed as it was sent: it could then not be spelled in
        another way.
        """
        ...


class Tokens(Protocol):
    """Signed access tokens."""

    def issue(self, session: Session, now: int, lifetime_seconds: int) -> AccessToken:
        """Sign a token that is valid for so long, but not longer than its session.

        `now` in seconds since 1970.
        """
        ...

    def read(self, token: str, now: int) -> Session:
        """Return the session that a token belongs to; `expires_at` is the token's own.

        Raises `NotSignedIn` for a token that is not valid at `now`.
        """
        ...

    def refresh_successors(self, token: str) -> Sequence[str]:
        """Return the refresh token that follows one, then those under other accepted keys.

        While the key changes, another process may have made the successor under one of those.
        """
        ...


class FileLinks(Protocol):
    """Signed links to files, for what cannot send a token, like an `<img>`."""

    def issue_link(self, file_id: FileId, viewer: Username, until: int) -> str:
        """Sign a link for one user to one file, valid until then, in seconds since 1970."""
        ...

    def read_link(self, link: str, file_id: FileId, now: int) -> Username:
        """Return whose link to this file it is. Raises `NotSignedIn` if it is not valid at `now`.

        Whether that user may have the file is for others to say.
        """
        ...
