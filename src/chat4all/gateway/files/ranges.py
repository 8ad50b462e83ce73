"""Ranges of a GET (RFC 9110, section 14)."""

import re
from typing import NamedTuple

_range = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*\Z", re.IGNORECASE)


class Span(NamedTuple):
    """The bytes from `start` to before `end`."""

    start: int
    end: int


class NotSatisfiable(ValueError):
    """A range that begins after the last byte."""


def span_of(header: str | None, if_range: str | None, etag: str, size: int) -> Span | None:
    """Return the span that `Range` asks for; None for all of it.

    Also for several ranges, for another unit, and if `If-Range` names other bytes: a server may
    ignore the header. Raises `NotSatisfiable`.
    """
    if header is None or (if_range is not None and if_range.strip() != etag):
        return None
    found = _range.match(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        if int(last) == 0 or size == 0:
            raise NotSatisfiable
        return Span(max(0, size - int(last)), size)
    start, end = int(first), min(size, int(last) + 1) if last else size
    if last and int(last) < start:
        return None
    if start >= size:
        raise NotSatisfiable
    return Span(start, end)
