"""The frame before a close that says when to connect again."""

import random
from math import ceil

from chat4all.gateway.live.framing import text_frame
from chat4all.http.limits import FRAMES
from chat4all.wire.frames import ErrorFrame, encode_frame
from chat4all.wire.problems import ProblemSlug, type_of

AGAIN_SECONDS = (5, 15)
"""At random within these: those who are refused together do not come back together."""

TOO_MANY_SOCKETS = "too many sockets are open"


def too_many_frames() -> bytes:
    """Return the frame before 4429."""
    # By then a new socket of the same client would have as many frames again.
    return _error(
        ProblemSlug.TOO_MANY_REQUESTS, "Too many requests", 429, "too many frames", FRAMES[1]
    )


def too_many_sockets() -> bytes:
    """Return the frame before 1013."""
    slug = ProblemSlug.OVERLOADED
    return _error(slug, "Overloaded", 503, TOO_MANY_SOCKETS, retry_after=again_seconds())


def again_seconds() -> float:
    """Return after how long one of those who are too many is to connect again."""
    return random.uniform(*AGAIN_SECONDS)  # noqa: S311 - jitter


def _error(slug: ProblemSlug, title: str, status: int, detail: str, retry_after: float) -> bytes:
    error = ErrorFrame(type_of(slug), title, status, detail, retry_after=ceil(retry_after))
    return text_frame(encode_frame(error))
