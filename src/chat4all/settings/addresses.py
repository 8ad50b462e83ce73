"""Addresses of other services, and of pages, as settings."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_settings import NoDecode

_ADDRESS = re.compile(r"https?://[^/?#@\s]+")

# Without the port of a scheme, which browsers leave out.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?!(?:80|443)$)\d{1,5})?")


def _server_address(text: str) -> str:
    """Return an address of a scheme, a host and perhaps a port; ValueError for any other."""
    try:
        parts = urlsplit(text)
        is_usable = _ADDRESS.fullmatch(text) and parts.hostname and parts.port != 0
    except ValueError:  # a bracket is left open, or there is no such port
        is_usable = False
    if not is_usable:
        raise ValueError("write an address like http://host:8001, without a path")
    return text


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Return origins as browsers send them, or `*` alone; ValueError for any others."""
    if "*" in origins:
        if len(origins) > 1:
            raise ValueError("* stands alone: it allows every origin")
        return origins
    for origin in origins:
        if _ORIGIN.fullmatch(origin) is None:
            raise ValueError(f"{origin!r} is not an origin like https://chat.example.com")
    return origins


ServerAddress = Annotated[str, AfterValidator(_server_address)]
Origins = Annotated[tuple[str, ...], NoDecode, AfterValidator(_origins)]
