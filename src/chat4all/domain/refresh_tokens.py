"""Refresh tokens: how they are made, and what is kept of them.

A token is `<family>.<secret>`. The family is the same for all tokens of one sign-in, so that a
spent one can be distinguished from one that was never issued. The first secret is random, each
further one an HMAC of the token before under the server's key: a client whose answer was lost can
be given the same token again although only hashes are kept. Reading the database is not enough to
sign in.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

FAMILY_BYTES = 16
SECRET_BYTES = 32

REPEAT_SECONDS = 30
"""For so long a spent token may be sent again, while its successor is unused: the answer may have
been lost, or two tabs may have asked at once."""

_TOKEN = re.compile(r"([A-Za-z0-9_-]{22})\.[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RefreshHashes:
    """What is kept of a token: SHA-256 of its family and of the whole."""

    family: bytes
    token: bytes


def new_refresh_token() -> str:
    """Return the first token of a new family."""
    return f"{secrets.token_urlsafe(FAMILY_BYTES)}.{secrets.token_urlsafe(SECRET_BYTES)}"


def next_refresh_token(token: str, key: bytes) -> str:
    """Return the token that follows one, which is the same each time for a key of the server's."""
    secret = hmac.digest(key, b"chat4all: the refresh token after " + token.encode(), "sha256")
    text = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    return f"{token.partition('.')[0]}.{text}"


def refresh_hashes(token: str) -> RefreshHashes | None:
    """Return what would be kept of a token; None for a text that cannot be one."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    return RefreshHashes(_hash(match[1]), _hash(token))


def _hash(text: str) -> bytes:
    # A fast hash is enough: the input cannot be guessed.
    return hashlib.sha256(text.encode()).digest()
