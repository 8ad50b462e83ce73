"""Checks of what a program gives the client: an address, a token, the text of a header.

Libraries would fail later, with all of it in the error, secrets included.
"""

import re
from typing import Final
from urllib.parse import urlsplit

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_HAS_SPACE: Final = re.compile(r"[\x00-\x20\x7f]")
_TEXT: Final = re.compile(r"[\x21-\x7e]+([ \t]+[\x21-\x7e]+)*")


def checked_url(url: str) -> str:
    """Return the address of a server, without a slash at its end. Raises `ValueError`."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("the address of a server begins with http:// or https://")
    try:
        parts = urlsplit(url)
        is_good = bool(parts.hostname) and parts.port != 0 and not _HAS_SPACE.search(url)
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(
            "the address of a server has a host, maybe a port and a path, and nothing else"
        )
    return url.rstrip("/")


def is_token(token: object) -> bool:
    """Say whether this can be an access token."""
    return isinstance(token, str) and _TOKEN.fullmatch(token) is not None


def checked_token(token: str) -> str:
    """Return an access token. Raises `ValueError`, whose text does not contain it."""
    if not is_token(token):
        raise ValueError("the token has a character that no token has: a space or a line end?")
    return token


def checked_header(name: str, text: str | None) -> str | None:
    """Return the text of a header, or None as it is. Raises `ValueError`."""
    if text is not None and not _TEXT.fullmatch(text):
        raise ValueError(f"{name} is printable ASCII, in one line")
    return text
