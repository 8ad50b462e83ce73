"""The headers of an answer that is a user's file: a browser shows it, and never runs it."""

import re
from urllib.parse import quote

from chat4all.domain.files import StoredFile
from chat4all.domain.media_types import INLINE, UNKNOWN
from chat4all.http.frame import Header

POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
"""Whatever a browser takes a file for: it has an opaque origin, and loads and runs nothing."""

CONTENT_HEADERS: tuple[Header, ...] = (
    (b"content-security-policy", POLICY.encode()),
    # Browsers keep it, and ask each time: a membership may have ended.
    (b"cache-control", b"private, no-cache"),
)

_not_in_quotes = re.compile(r"[^ !#-\[\]-~]|%")
_UNRESERVED = "!#$&+-.^_`|~"
"""Of RFC 8187, `attr-char`, besides letters and digits."""


def content_type(file: StoredFile) -> str:
    """Return what a file is served as: only what may be shown in place by its type."""
    return file.facts.media_type if file.facts.media_type in INLINE else UNKNOWN


def disposition(file: StoredFile) -> str:
    """Return `Content-Disposition` (RFC 6266): both forms of the name, where they differ."""
    kind = "inline" if file.facts.media_type in INLINE else "attachment"
    plain = _not_in_quotes.sub("_", file.name)
    named = f'{kind}; filename="{plain}"'
    if plain != file.name:
        named += f"; filename*=UTF-8''{quote(file.name, safe=_UNRESERVED)}"
    return named


def etag(file: StoredFile) -> str:
    """Return the entity tag of a file's bytes, which never change."""
    return f'"{file.facts.sha256}"'
