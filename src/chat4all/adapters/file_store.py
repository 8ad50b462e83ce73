"""What the stores of files have in common: which keys there are, and what clients are told."""

import re

PUBLIC = "the store of files does not answer"
PUBLIC_FULL = (
    "the server has no room left for files: go on later, or delete files that you do not need"
)
"""The texts that clients get."""

PIECE = 256 * 1024
"""Bytes that are read at a time, at most."""

KEY_MAX = 200
"""Characters of a key: with what a folder adds it is still the name of a file."""

_SEGMENT = r"[A-Za-z0-9-][A-Za-z0-9.-]*"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


def checked_key(key: str) -> str:
    """Return a key as it is; `ValueError` when it is none: no path leads out of a folder.

    Keys are made here, of ids: another one is a defect, and nothing is done with it.
    """
    if len(key) > KEY_MAX or _KEY.fullmatch(key) is None:
        raise ValueError("not a key of the store of files")
    return key
