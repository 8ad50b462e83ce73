"""Routes that are answered before FastAPI, whose overhead exceeds their work.

See docs/decisions/0003-lean-send-route.md.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from chat4all.http.methods import allow
from chat4all.http.problems import BadRequest, problem_response
from chat4all.http.route_limits import DEFAULT_LIMITS, KEY, RouteLimits

FastEndpoint: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[bool | None]]
"""An ASGI application; it may return False, without having sent anything, to decline a request."""


@dataclass(frozen=True, slots=True)
class FastRoute:
    """A path, with at most one parameter, and its endpoint."""

    path: str
    method: str | None
    """None for an endpoint that looks at method and name itself, and sets `scope["route"]`."""

    endpoint: FastEndpoint
    limits: RouteLimits = DEFAULT_LIMITS
    is_shared: bool = False
    """Whether the application has this route too: it answers requests that the endpoint declines,
    and other methods."""


class FastRoutes:
    """ASGI: one table of fast routes, and the application that answers everything else."""

    def __init__(self, routes: Iterable[FastRoute], fallback: ASGIApp) -> None:
        self._exact: dict[str, FastRoute] = {}
        self._templates: list[tuple[str, str, FastRoute]] = []
        self._fallback = fallback
        for route in routes:
            prefix, brace, rest = route.path.partition("{")
            if brace:
                self._templates.append((prefix, rest.partition("}")[2], route))
            else:
                self._exact[route.path] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        # One coroutine for all: a further one would cost as much as the look-up.
        if scope["type"] == "http":
            path = scope["path"]
            route = self._exact.get(path)
            if route is None:
                for prefix, suffix, templated in self._templates:
                    if path.endswith(suffix) and path.startswith(prefix):
                        route = templated
                        break
            if route is not None:
                if scope["method"] == route.method:
                    scope["route"] = route  # as FastAPI's router does, for metrics
                    scope[KEY] = route.limits
                    if await route.endpoint(scope, receive, send) is not False:
                        return
                    del scope["route"], scope[KEY]
                elif await _answer_other_method(route, scope, receive, send):
                    return
        await self._fallback(scope, receive, send)


async def _answer_other_method(
    route: FastRoute, scope: Scope, receive: Receive, send: Send
) -> bool:
    if route.method is None:
        return await route.endpoint(scope, receive, send) is not False
    if route.is_shared:
        return False
    scope["route"] = route
    refused = BadRequest(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"this route is {route.method} only",
        {"Allow": allow([route.method])},
    )
    await problem_response(refused, scope["path"])(scope, receive, send)
    return True
