"""Passwords, tokens and the secret that signs them."""

from chat4all.adapters.crypto.passwords import BcryptPasswords
from chat4all.adapters.crypto.secret import check_secret, load_or_make_secret, proof_of
from chat4all.adapters.crypto.tokens import JwtTokens

__all__ = ["BcryptPasswords", "JwtTokens", "check_secret", "load_or_make_secret", "proof_of"]
