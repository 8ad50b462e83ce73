"""What one connection may cost: bytes, requests ahead, seconds, and how many there may be.

What one request may cost is its route's to say: `http.route_limits`.
"""

from http import HTTPStatus
from typing import TypeAlias

from chat4all.http.bodies import too_large
from chat4all.http.route_limits import RouteLimits

TAKE_SECONDS = 30.0
"""In which a client takes what was answered: an 8 MB page at 2 Mbit/s."""

LINGER_SECONDS = 2.0
"""How long what still comes in after a refusal is read and thrown away. Closing at once would reset
the connection, and with it the answer that the client has not read yet (RFC 9112, section 9.6)."""

DRAIN_EVERY_SECONDS = 0.002
"""Between two looks at what is thrown away, a quarter of a megabyte each: others come first."""

HEADERS_MAX = 100
"""Headers and trailers of a request that comes in pieces. Each costs a call from the parser, and a
thousand of them keep the other clients waiting as long as several whole requests do."""

AHEAD_MAX = 16
"""Requests that a client may send before it has the answer to the first."""

CONNECTIONS_MAX = 2_000
"""Open HTTP connections to one port, each of 6 to 14 KB. For one more, those that have waited
longest for their client are closed; where all are being answered, it is answered 503."""

CLOSED_SHARE = 40
"""A fortieth of all is closed then, because finding them looks at every connection."""

REFUSED_SHARE = 4
"""A quarter as many more are answered 503; those beyond that are closed without an answer."""

STEP = 2 * 1024
"""Bytes that are parsed before the limits are looked at again."""

Refusal: TypeAlias = tuple[HTTPStatus, str]

TOO_LONG = (HTTPStatus.REQUEST_URI_TOO_LONG, "the request line and headers are larger than 32 KiB")
TOO_MANY_HEADERS = (
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"the headers are more than {HEADERS_MAX}, or larger than 32 KiB",
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
    """Return the refusal of a request that takes longer than its route lets it."""
    return (
        HTTPStatus.REQUEST_TIMEOUT,
        f"the request did not arrive whole within {limits.seconds:g} s",
    )
