"""Refresh tokens: how they are made, and what is kept of them.

A token is `<family>.<secret>`, both random. The family is the same for all tokens of one sign-in,
so that a spent one can be distinguished from one that was never issued. Only hashes are kept:
reading the database is not enough to sign in.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass

FAMILY_BYTES = 16
SECRET_BYTES = 32

_TOKEN = re.compile(r"([A-Za-z0-9_-]{22})\.[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RefreshHashes:
    """What is kept of a token: SHA-256 of its family and of the whole."""

    family: bytes
    token: bytes


def new_refresh_token() -> str:
    """Return the first token of a new family."""
    return _token(secrets.token_urlsafe(FAMILY_BYTES))


def next_refresh_token(token: str) -> str:
    """Return another token of the same family."""
    return _token(token.partition(".")[0])


def refresh_hashes(token: str) -> RefreshHashes | None:
    """Return what would be kept of a token; None for a text that cannot be one."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    return RefreshHashes(_hash(match[1]), _hash(token))


def _token(family: str) -> str:
    return f"{family}.{secrets.token_urlsafe(SECRET_BYTES)}"


def _hash(text: str) -> bytes:
    # A fast hash is enough: the input is random and cannot be guessed.
    return hashlib.sha256(text.encode()).digest()
