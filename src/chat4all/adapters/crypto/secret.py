"""The secret that signs tokens: created once, in a file that only its owner can read."""

import hmac
import os
import secrets
import stat
from pathlib import Path

from chat4all.adapters.private_files import rename_durably, write_private
from chat4all.domain.errors import StartRefused

BYTES_MIN = 32
"""RFC 7518, section 3.2: a key for HS256 is at least as long as its hash."""


def check_secret(secret: bytes, name: str = "SECRET_KEY") -> bytes:
    """Return the secret; `StartRefused` if it is too short."""
    if len(secret) < BYTES_MIN:
        raise StartRefused(
            f"{name} has {len(secret)} bytes and needs at least {BYTES_MIN}: make one with "
            "`openssl rand -hex 32`, or leave it out to have one made and kept"
        )
    return secret


def proof_of(secret: bytes) -> bytes:
    """Return a proof, for a service with the same secret, that we have it.

    It reveals no more of the secret than any token does, which is an HMAC with it too.
    """
    return hmac.digest(secret, b"chat4all: do we have the same SECRET_KEY?", "sha256")


def key_id(secret: bytes) -> str:
    """Return a key's name in the tokens that it signs; it reveals nothing of the key."""
    return hmac.digest(secret, b"chat4all: which SECRET_KEY is this?", "sha256").hex()[:16]


def next_to(path: Path) -> Path:
    """Return the path of the key that will replace the one in this file."""
    return path.with_name(f"{path.name}.next")


def previous_to(path: Path) -> Path:
    """Return the path of the key that the one in this file replaced."""
    return path.with_name(f"{path.name}.previous")


def accepted_beside(path: Path) -> list[bytes]:
    """Return the next and the previous key of a file, whose tokens are accepted too."""
    return [_load(other) for other in (next_to(path), previous_to(path)) if other.exists()]


def rotate_secret(path: Path) -> None:
    """Replace the key in a file by the next one; it is the previous key then.

    Wherever this is cut off, the files still have every key in use: repeating it finishes it.
    """
    now = load_or_make_secret(path)
    load_or_make_secret(next_to(path))
    _write(previous_to(path), now)
    _rename(next_to(path), path)


def load_or_make_secret(path: Path) -> bytes:
    """Return the secret in a file, which the first call creates with mode 0600.

    The caller holds the folder: two processes that both find no file would make two secrets.
    Raises `StartRefused` when others may read it or it is incomplete.
    """
    try:
        return _load(path)
    except FileNotFoundError:
        secret = secrets.token_hex(BYTES_MIN).encode()
        _write(path, secret)
        return secret


def _load(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise StartRefused(
                    f"{path} can be read by other users: `chmod 600` it, or {_to_replace(path)}"
                )
            secret = file.read().strip()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StartRefused(f"{path} cannot be read ({error.strerror}): make it readable") from error
    if len(secret) < BYTES_MIN:
        raise StartRefused(f"{path} is not whole: {_to_replace(path)}")
    return secret


def _to_replace(path: Path) -> str:
    if path.suffix == ".next":
        return f"delete it (`chat4all secrets {path.parent} --prepare` makes another one)"
    if path.suffix == ".previous":
        return "delete it (the tokens that it signed are no longer good then)"
    return "delete it to have another one made (everybody signs in again)"


def _write(path: Path, secret: bytes) -> None:
    try:
        write_private(path, secret)
    except OSError as error:
        raise StartRefused(f"{path} cannot be written ({error.strerror})") from error


def _rename(beside: Path, path: Path) -> None:
    try:
        rename_durably(beside, path)
    except OSError as error:
        raise StartRefused(f"{path} cannot be written ({error.strerror})") from error
