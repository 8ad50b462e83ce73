"""The frame before a close that says when to connect again."""

from math import ceil

import msgspec

from chat4all.gateway.live.framing import text_frame
from chat4all.http.limits import FRAMES
from chat4all.wire.problems import ProblemSlug, type_of

TOO_MANY_SOCKETS = "too many sockets are open"


def too_many_frames() -> bytes:
    """Return the frame before 4429."""
    # By then a new socket of the same client would have as many frames again.
    return _error(
        ProblemSlug.TOO_MANY_REQUESTS, "Too many requests", 429, "too many frames", FRAMES[1]
    )


def too_many_sockets(retry_after: float) -> bytes:
    """Return the frame before 1013."""
    return _error(ProblemSlug.OVERLOADED, "Overloaded", 503, TOO_MANY_SOCKETS, retry_after)


def _error(slug: ProblemSlug, title: str, status: int, detail: str, retry_after: float) -> bytes:
    error = {
        "type": "error",
        "problem": type_of(slug),
        "title": title,
        "status": status,
        "detail": detail,
        "retry_after": ceil(retry_after),
    }
    return text_frame(msgspec.json.encode(error))
