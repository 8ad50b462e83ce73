"""What a request's headers say of a representation (RFC 9110): conditions, and content codings."""

import re
from http import HTTPStatus

from starlette.datastructures import Headers

from chat4all.http.problems import BadRequest

_tags = re.compile(r'(W/)?("[^"]*")')
_weight = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def is_any(condition: str) -> bool:
    """Say whether a condition is of whatever there is: `*`."""
    return condition.strip() == "*"


def matches(condition: str, etag: str) -> bool:
    """Say whether `If-None-Match` names this entity tag, or any."""
    return is_any(condition) or etag in (tag for _, tag in _tags.findall(condition))


def check_match(headers: Headers, etag: str) -> None:
    """Raise `BadRequest` with 412 unless `If-Match` names this tag, or any, or is not there.

    A weak tag names no bytes.
    """
    condition = headers.get("if-match")
    if condition is None or is_any(condition) or ("", etag) in _tags.findall(condition):
        return
    detail = "If-Match names other bytes than there are"
    raise BadRequest(HTTPStatus.PRECONDITION_FAILED, detail, {"ETag": etag})


def takes_gzip(accept_encoding: str) -> bool:
    """Say whether a client takes an answer with `Content-Encoding: gzip`."""
    weights: dict[str, float] = {}
    for one in accept_encoding.split(","):
        coding, _, parameter = one.partition(";")
        name, _, value = parameter.partition("=")
        weight = value.strip() if name.strip().lower() == "q" else "1"
        found = _weight.fullmatch(weight)
        weights[coding.strip().lower()] = float(weight) if found else 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0
