"""Limits of a connection: bytes, pipelined requests, seconds; and of the number of connections.

Routes declare the limits of a request: `http.route_limits`.
"""

from http import HTTPStatus
from typing import TypeAlias

from chat4all.http.bodies import too_large
from chat4all.http.route_limits import HEAD_MAX, RouteLimits

TAKE_SECONDS = 30.0
"""Within which a client must read an answer: an 8 MB page at 2 Mbit/s."""

LINGER_SECONDS = 2.0
"""How long input after a refusal is read and discarded. Closing at once would reset the connection,
and with it the answer that the client has not read yet (RFC 9112, section 9.6)."""

DRAIN_EVERY_SECONDS = 0.002
"""Between two reads of discarded input, a quarter of a megabyte each: other clients come first."""

HEADERS_MAX = 100
"""Headers and trailers of a request that arrives in pieces. Each costs a call from the parser: a
thousand of them delay other clients as much as several whole requests."""

AHEAD_MAX = 16
"""Requests that a client may send before it has the answer to the first."""

CONNECTIONS_MAX = 2_000
"""Open HTTP connections to one port, each of 6 to 14 KB. For one more, those that have been idle
longest are closed; if none is idle, the new one is answered 503."""

CLOSED_SHARE = 40
"""A fortieth of all is closed then, because finding them takes a look at every connection."""

REFUSED_SHARE = 4
"""A quarter as many in addition are answered 503; further ones are closed without an answer."""

STEP = 2 * 1024
"""Bytes that are parsed before the limits are checked again."""

Refusal: TypeAlias = tuple[HTTPStatus, str]

TOO_LONG = (
    HTTPStatus.REQUEST_URI_TOO_LONG,
    f"the request line and headers are larger than {HEAD_MAX // 1024} KiB",
)
TOO_MANY_HEADERS = (
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"the headers are more than {HEADERS_MAX}, or larger than {HEAD_MAX // 1024} KiB",
)
TOO_FAR_AHEAD = (
    HTTPStatus.TOO_MANY_REQUESTS,
    f"more than {AHEAD_MAX} requests wait on this connection",
)
NOT_HTTP = (HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1 as it should be")
FULL = (HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open")


def body_too_large(limits: RouteLimits) -> Refusal:
    """Return the refusal of a body that is beyond its route's limit."""
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large(limits.body)


def too_slow(limits: RouteLimits) -> Refusal:
    """Return the refusal of a request that takes longer than its route allows.

    A body that may take any time can go on with another request: clients of tus do after a 5xx, and
    give up after any other status.
    """
    if limits.stall_seconds is not None:
        return HTTPStatus.SERVICE_UNAVAILABLE, f"nothing arrived within {limits.stall_seconds:g} s"
    return (
        HTTPStatus.REQUEST_TIMEOUT,
        f"the request did not arrive whole within {limits.seconds:g} s",
    )
