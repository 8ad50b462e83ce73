"""The tokens that the server gives, as docs/clients.md describes them."""

from collections.abc import Iterable
from typing import Literal

from tests.conformance.data import Json


class Tokens:
    """One account, one session."""

    def __init__(self, described: Json) -> None:
        self._passwords: dict[str, str] = described.get("accounts", {"ana": "sesame"})
        self._expires_in: int = described.get("expires_in", 1800)
        self.good: set[str] = set(described.get("good", ()))
        """Access tokens."""
        self._given = 0
        self._newest = 0
        """The number of the newest refresh token."""
        self._is_over = False

    def is_right(self, username: str, password: str) -> bool:
        return self._passwords.get(username) == password

    def begin(self, *, is_expired: bool = False) -> Json:
        """Return the first tokens of a session."""
        self._newest += 1
        return self._pair(is_expired=is_expired)

    def refreshed(self, refresh_token: str, *, is_expired: bool = False) -> Json | None:
        """Return the next tokens; None, from then on for all, where the token was used before."""
        newest = f"refresh-{self._newest}"
        if refresh_token == newest:
            self._newest += 1
        elif refresh_token != f"refresh-{self._newest - 1}":
            # The one before the newest is a repetition, whose successor is unused.
            self._is_over = True
        return None if self._is_over else self._pair(is_expired=is_expired)

    def expire(self, tokens: Iterable[str] | Literal[True]) -> None:
        """These access tokens, or all that were given, are refused from now on."""
        self.good -= {*self.good} if tokens is True else {*tokens}

    def _pair(self, *, is_expired: bool) -> Json:
        self._given += 1
        access = f"access-{self._given}"
        if not is_expired:
            self.good.add(access)
        return {
            "access_token": access,
            "token_type": "bearer",
            "expires_in": self._expires_in,
            "refresh_token": f"refresh-{self._newest}",
        }
