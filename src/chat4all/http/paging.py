"""Pages of lists: `limit`, `cursor`, and a `Link` to the next one (RFC 8288)."""

import base64
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Response
from pydantic import AfterValidator

from chat4all.domain.text import is_name

CURSOR_MAX = 512


def _place(cursor: str) -> str:
    """Return the place in a cursor; `ValueError` for a cursor that is not ours."""
    try:
        place = base64.b64decode(cursor, b"-_", validate=True).decode()
    except ValueError:
        place = "\0"
    if not is_name(place):
        raise ValueError("take it from a Link")
    return place


Cursor = Annotated[
    str,
    Query(max_length=CURSOR_MAX, description="Where to go on: from the `Link` of a page."),
    AfterValidator(_place),
]
"""The query's `cursor`; endpoints get the place in it, "" for the beginning."""

LINK_HEADER: dict[str, Any] = {
    "Link": {
        "description": 'The next page, RFC 8288 (`rel="next"`), if there is one.',
        "schema": {"type": "string"},
    }
}


def link_next(response: Response, path: str, after: str | None, **query: str | int | None) -> None:
    """Add a `Link` to the next page, which begins after `after`; None when there is none."""
    if after is None:
        return
    cursor = base64.urlsafe_b64encode(after.encode()).decode()
    present = {name: value for name, value in query.items() if value}
    response.headers["Link"] = f'<{path}?{urlencode({**present, "cursor": cursor})}>; rel="next"'
