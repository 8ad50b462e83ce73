"""Limits of a route, declared where it is made: bytes, seconds, and rate.

The route that matches puts its limits into the request's scope. They are enforced by the body
limit, by the connection, and by the endpoint, which knows the caller whose requests it counts.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from chat4all.http.limits import Limit, NoLimit
from chat4all.wire.body_sizes import BODY_MAX

HEAD_MAX = 32 * 1024
"""Bytes of request line and headers together, of any request."""

WIRE_MIN = 1024 * 1024
"""Bytes that any request may take on the wire."""

CHUNK_BYTES = 6
"""Bytes on the wire of a chunk with one byte: `1`, CRLF, the byte, CRLF."""

STALL_BYTES = 16 * 1024

SENT = "chat4all.sent"
"""The scope's key for how many bytes of a long answer have been sent. While it grows, the client is
reading."""

STALLED = "chat4all.stalled"
"""The scope's key for what to call when a connection is ended because its client has stopped
sending the request, or taking the answer."""

KEY = "chat4all.limits"
"""The scope's key for the limits of the request's route."""

_DECLARED = "chat4all_limits"

UNLIMITED = NoLimit()

E = TypeVar("E", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """What one request may cost; the defaults are those of a route that declares nothing."""

    body: int = BODY_MAX
    """Bytes of the body."""

    seconds: float = 6.0
    """From the request's first byte, or the connection's beginning, to the request's last byte.

    More than the usual only for a body that needs it: see `seconds_for`."""

    stall_seconds: float | None = None
    """In place of `seconds`, for a body that may take any time: within so many seconds at least
    `STALL_BYTES` of it have to arrive, except while we do not read."""

    rate: Limit = UNLIMITED
    """How often one caller may ask. The endpoint takes from it once it knows the caller."""

    @property
    def wire(self) -> int:
        """Bytes of the whole request on the wire: its body in the smallest chunks, and its head."""
        return max(WIRE_MIN, HEAD_MAX + CHUNK_BYTES * self.body)

    def seconds_for(self, headers: Iterable[tuple[bytes, bytes]]) -> float:
        """Return the seconds for a request with these headers.

        A body of the usual size has the usual time on every route: one that says that it is small
        must not hold a connection for as long as a large one.
        """
        if self.stall_seconds is not None:
            return self.stall_seconds
        if self.seconds > DEFAULT_LIMITS.seconds:
            length = dict(headers).get(b"content-length", b"")
            if length.isdigit() and len(length) < 10 and int(length) <= DEFAULT_LIMITS.body:
                return DEFAULT_LIMITS.seconds
        return self.seconds


DEFAULT_LIMITS = RouteLimits()


def limits_for_body(body: int, rate: Limit = UNLIMITED) -> RouteLimits:
    """Return the limits of a route whose bodies have up to so many bytes.

    They have as much more time as they are larger than those of other routes.
    """
    seconds = ceil(DEFAULT_LIMITS.seconds * body / DEFAULT_LIMITS.body)
    return RouteLimits(body=body, seconds=seconds, rate=rate)


def limits_of(scope: Mapping[str, Any]) -> RouteLimits:
    """Return the limits of the route that a request was matched to, or else the defaults."""
    limits: RouteLimits = scope.get(KEY, DEFAULT_LIMITS)
    return limits


def set_limits(scope: MutableMapping[str, Any], limits: RouteLimits) -> None:
    """Set the limits of a request."""
    scope[KEY] = limits


def note_stall(request: Any) -> None:
    """Take note that a request is ended because its client has stopped; None: of none."""
    if request is not None and (note := request.get(STALLED)) is not None:
        note()


def limited(limits: RouteLimits) -> Callable[[E], E]:
    """Declare a FastAPI route's limits, between FastAPI's decorator and the endpoint."""

    def declare(endpoint: E) -> E:
        setattr(endpoint, _DECLARED, limits)
        return endpoint

    return declare


class DeclaredLimits:
    """The limits that the routes of some routers declare, found before FastAPI looks for a route.

    A request of another route costs two look-ups in dicts, unless routes of its method with
    parameters in their paths declare limits.
    """

    def __init__(self, routers: Iterable[APIRouter]) -> None:
        self._exact: dict[tuple[str, str], RouteLimits] = {}
        self._templates: dict[str, list[tuple[APIRoute, RouteLimits]]] = {}
        for router in routers:
            for route in router.routes:
                limits = getattr(getattr(route, "endpoint", None), _DECLARED, None)
                if not isinstance(route, APIRoute) or limits is None:
                    continue
                for method in route.methods or ():
                    if "{" in route.path:
                        self._templates.setdefault(method, []).append((route, limits))
                    else:
                        self._exact[method, route.path] = limits

    def of(self, scope: Scope) -> RouteLimits | None:
        """Return the limits of a request's route; None where it declares none."""
        limits = self._exact.get((scope["method"], scope["path"]))
        if limits is None:
            for route, declared in self._templates.get(scope["method"], ()):
                if route.matches(scope)[0] is Match.FULL:
                    return declared
        return limits
