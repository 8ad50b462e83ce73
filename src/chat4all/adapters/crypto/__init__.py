"""Passwords, tokens and the secret that signs them."""

from chat4all.adapters.crypto.passwords import BcryptPasswords
from chat4all.adapters.crypto.secret import (
    accepted_beside,
    check_secret,
    load_or_make_secret,
    next_to,
    proof_of,
    rotate_secret,
)
from chat4all.adapters.crypto.tokens import JwtTokens

__all__ = [
    "BcryptPasswords",
    "JwtTokens",
    "accepted_beside",
    "check_secret",
    "load_or_make_secret",
    "next_to",
    "proof_of",
    "rotate_secret",
]
