"""The secret that signs tokens: made once, kept where only its owner can read it."""

import hmac
import os
import secrets
import stat
from pathlib import Path

from chat4all.domain.errors import StartRefused

BYTES_MIN = 32
"""RFC 7518, section 3.2: a key for HS256 is at least as long as its hash."""


def check_secret(secret: bytes) -> bytes:
    """Return a secret that is long enough; `StartRefused` for another."""
    if len(secret) < BYTES_MIN:
        raise StartRefused(
            f"SECRET_KEY has {len(secret)} bytes and needs at least {BYTES_MIN}: make one with "
            "`openssl rand -hex 32`, or leave it out to have one made and kept"
        )
    return secret


def proof_of(secret: bytes) -> bytes:
    """Return what shows somebody with the same secret that we have it.

    It tells no more of the secret than any token does, which is an HMAC under it as well.
    """
    return hmac.digest(secret, b"chat4all: do we have the same SECRET_KEY?", "sha256")


def load_or_make_secret(path: Path) -> bytes:
    """Return the secret kept in a file, which is made at the first call, with mode 0600.

    The caller holds the folder: two processes that both find no file would make two secrets.
    Raises `StartRefused` when others may read it or it is not whole.
    """
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise StartRefused(
                    f"{path} can be read by other users: `chmod 600` it, or delete it to have "
                    "another one made (everybody signs in again)"
                )
            secret = file.read().strip()
    except FileNotFoundError:
        return _make(path)
    except OSError as error:
        raise StartRefused(f"{path} cannot be read ({error.strerror}): make it readable") from error
    if len(secret) < BYTES_MIN:
        raise StartRefused(
            f"{path} is not whole: delete it to have another one made (everybody signs in again)"
        )
    return secret


def _make(path: Path) -> bytes:
    secret = secrets.token_hex(BYTES_MIN).encode()
    # Written beside it and renamed: a crash leaves no secret or a whole one.
    beside = path.with_suffix(".new")
    try:
        beside.unlink(missing_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StartRefused(f"{path} cannot be written ({error.strerror})") from error
    return secret
