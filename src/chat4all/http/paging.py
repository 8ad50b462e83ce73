"""Pages of lists: `limit`, `cursor`, and a `Link` to the next one (RFC 8288)."""

import base64
import binascii
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Response

from chat4all.domain.errors import FieldError, InvalidInput

CURSOR_MAX = 512

Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_MAX, description="Where to go on: from the `Link` of a page."),
]

LINK_HEADER: dict[str, Any] = {
    "Link": {
        "description": 'The next page, RFC 8288 (`rel="next"`), if there is one.',
        "schema": {"type": "string"},
    }
}


def read_cursor(cursor: str | None) -> str:
    """Return the place in a cursor, "" for None; `InvalidInput` for a cursor that is not ours."""
    try:
        return base64.urlsafe_b64decode((cursor or "").encode("ascii")).decode()
    except (binascii.Error, UnicodeError):
        raise InvalidInput([FieldError("/query/cursor", "take it from a Link")]) from None


def link_next(response: Response, path: str, after: str | None, **query: str | int | None) -> None:
    """Add a `Link` to the next page, which begins after `after`; None when there is none."""
    if after is None:
        return
    cursor = base64.urlsafe_b64encode(after.encode()).decode()
    present = {name: value for name, value in query.items() if value}
    response.headers["Link"] = f'<{path}?{urlencode({**present, "cursor": cursor})}>; rel="next"'
