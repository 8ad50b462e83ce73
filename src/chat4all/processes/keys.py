"""The keys that sign tokens, and the credential of the services of a cluster."""

import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from chat4all.adapters.crypto import (
    JwtTokens,
    accepted_beside,
    load_or_make_secret,
    proof_of,
)
from chat4all.domain.errors import StartRefused
from chat4all.settings import TokenKeys

CREDENTIAL_MIN = 32
"""Characters."""

_CREDENTIAL = re.compile("[!-~]+")


def tokens_in_folder(keys: TokenKeys, folder: Path, *, keep: bool = True) -> JwtTokens:
    """Return tokens signed with the key that is set, or else with that of the data folder.

    `keep`: a key that has to be made is kept there.
    """
    if keys.secret is not None:
        return JwtTokens(keys.secret, keys.accepted)
    file = folder / "secret-key"
    secret = load_or_make_secret(file) if keep or file.exists() else secrets.token_bytes(32)
    return JwtTokens(secret, [*accepted_beside(file), *keys.accepted])


def tokens_in_cluster(keys: TokenKeys) -> JwtTokens:
    """Return tokens signed with the key that is set; `StartRefused` without one."""
    if keys.secret is None:
        raise StartRefused(
            "SECRET_KEY is missing: it signs tokens, at least 32 bytes, the same for all gateways "
            "and metadata services; make one with `openssl rand -hex 32`"
        )
    return JwtTokens(keys.secret, keys.accepted)


def proofs(keys: TokenKeys) -> Sequence[bytes]:
    """Return proofs of the key that signs, which comes first, and of those that are accepted."""
    signs = b"" if keys.secret is None else proof_of(keys.secret)
    return signs, *map(proof_of, keys.accepted)


def check_credential(credential: str | None) -> str:
    """Return the credential of services; `StartRefused` for one that cannot be used."""
    if (
        credential is None
        or len(credential) < CREDENTIAL_MIN
        or _CREDENTIAL.fullmatch(credential) is None
    ):
        raise StartRefused(
            f"CHAT4ALL_SERVICE_CREDENTIAL needs at least {CREDENTIAL_MIN} ASCII characters without "
            "spaces, the same for gateways and metadata services: make one with "
            "`openssl rand -hex 32`"
        )
    return credential
