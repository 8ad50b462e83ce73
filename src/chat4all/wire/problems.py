"""What every refusal and failure looks like (RFC 9457)."""

from typing import Annotated

import msgspec
from msgspec import Meta

MEDIA_TYPE = "application/problem+json"


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
