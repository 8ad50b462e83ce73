"""What every refusal and failure looks like (RFC 9457)."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

MEDIA_TYPE = "application/problem+json"


class ProblemSlug(StrEnum):
    """The kinds of problem that the errors of the domain have; HTTP adds some of its own."""

    INVALID_INPUT = "invalid-input"
    NOT_SIGNED_IN = "not-signed-in"
    INVALID_GRANT = "invalid-grant"
    NOT_ALLOWED = "not-allowed"
    NOT_FOUND = "not-found"
    ALREADY_TAKEN = "already-taken"
    CONFLICT = "conflict"
    BUSY = "busy"
    FENCED = "fenced"
    BEING_CHECKED = "being-checked"
    QUOTA_REACHED = "quota-reached"
    TOO_LARGE = "too-large"
    CHECKSUM_MISMATCH = "checksum-mismatch"
    NOT_ACCEPTED = "not-accepted"
    TOO_MANY_REQUESTS = "too-many-requests"
    OUTCOME_UNKNOWN = "outcome-unknown"
    OVERLOADED = "overloaded"
    OUT_OF_SPACE = "out-of-space"
    UNAVAILABLE = "unavailable"
    INTERNAL_ERROR = "internal-error"


def type_of(slug: str) -> str:
    """Return the `type` of a problem of this kind."""
    return f"/problems/{slug}"


class ProblemField(msgspec.Struct):
    """One broken rule."""

    pointer: Annotated[str, Meta(description="A JSON Pointer into the request.")]
    detail: str


class Problem(msgspec.Struct, omit_defaults=True):
    """What went wrong (RFC 9457)."""

    type: Annotated[
        str,
        Meta(description="Names the kind of problem; stays the same.", examples=["/problems/x"]),
    ]
    title: str
    status: int
    detail: str
    instance: Annotated[str, Meta(description="The path of this request.")]
    request_id: Annotated[str, Meta(description="The same as in `X-Request-Id` and in the log.")]
    errors: list[ProblemField] | None = None
    message_id: Annotated[
        str | None, Meta(description="With 503 on sending: retry with this `message_id`.")
    ] = None
    change_id: Annotated[
        str | None,
        Meta(description="With 503 on editing, deleting and reacting: retry with this id."),
    ] = None
    error: Annotated[
        str | None,
        Meta(description="From `/token`, for OAuth libraries (RFC 6749, section 5.2)."),
    ] = None
    error_description: Annotated[
        str | None, Meta(description="From `/token`: `detail` in the letters that OAuth allows.")
    ] = None


class ReceivedProblem(msgspec.Struct):
    """As much of a problem as another service of ours acts on; empty where it is missing.

    The two services may be of different releases, and a proxy between them has problems of its own.
    """

    type: str = ""
    detail: str = ""


decode_problem = msgspec.json.Decoder(ReceivedProblem).decode
"""Reads a problem; raises `ValueError` for what is none."""
