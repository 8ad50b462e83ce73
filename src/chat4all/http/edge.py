"""The outermost layers of a service: CORS, trusted proxies, and the frame."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from chat4all.http.access_log import AccessLog
from chat4all.http.frame import Frame, RequestMeter
from chat4all.http.methods import answer_head
from chat4all.http.problems import BadRequest, problem_response

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Range",
    "Tus-Resumable",
    "Upload-Checksum",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-HTTP-Method-Override",
    "X-Request-Id",
)
_EXPOSED = (
    "Accept-Ranges",
    "Chat4All-Position",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Tus-Checksum-Algorithm",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-Request-Id",
)

REFUSAL = "chat4all.refusal"
"""The scope's key for an ASGI application that answers with the connection's refusal."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Which sites and proxies are trusted. An empty one is off, and adds no layer."""

    cors_origins: Sequence[str] = ()
    """Origins whose pages may read answers and open sockets, or `*` alone."""

    trusted_proxies: Sequence[str] = ()
    """Addresses and networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted."""


def with_edge(
    app: ASGIApp, edge: Edge, meter: RequestMeter, *, pages: Mapping[str, str]
) -> ASGIApp:
    """Return the application as it is served; see `Frame` for `pages`."""
    app = _unless_refused(app)
    if edge.cors_origins:
        # No credentials: tokens are in a header, which other sites' pages cannot set.
        app = _Cors(
            app,
            allow_origins=edge.cors_origins,
            allow_methods=_METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_EXPOSED,
        )
    app = Frame(app, meter, AccessLog(), pages=pages, cross_origin=bool(edge.cors_origins))
    if edge.trusted_proxies:
        app = ProxyHeadersMiddleware(app, list(edge.trusted_proxies))  # type: ignore[arg-type,assignment]
    return app


class _Cors(CORSMiddleware):
    """Refuses with problems, as all else here, so that the log says why too."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        return response if response.status_code == HTTPStatus.OK else _RefusedPreflight(response)


class _RefusedPreflight(Response):
    """A problem, from what Starlette says: `Disallowed CORS origin, method`."""

    def __init__(self, said: Response) -> None:
        super().__init__()
        what = bytes(said.body).decode().removeprefix("Disallowed CORS ")
        see = "; see CHAT4ALL_CORS_ORIGINS" if "origin" in what else ""
        of_body = ("content-length", "content-type")
        headers = {name: value for name, value in said.headers.items() if name not in of_body}
        detail = f"CORS does not allow this: {what}{see}"
        self._error = BadRequest(HTTPStatus.BAD_REQUEST, detail, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await problem_response(self._error, scope["path"])(scope, receive, send)


def behind_proxies(edge: Edge) -> Callable[[Scope], None]:
    """Return what puts the client that a trusted proxy names into a request's scope.

    For requests that no application gets; applications get them through `with_edge`.
    """
    middleware = ProxyHeadersMiddleware(_nothing, list(edge.trusted_proxies))

    def put(scope: Scope) -> None:
        # It awaits only the application.
        with suppress(StopIteration):
            middleware(scope, _nothing, _nothing).send(None)  # type: ignore[arg-type]

    return put


async def _nothing(*_: object) -> None:
    pass


def _unless_refused(app: ASGIApp) -> ASGIApp:
    # Not a coroutine: every request would pay for another one.
    def answer(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        refusal_or_app: ASGIApp = scope.get(REFUSAL, app)
        if scope.get("method") == "HEAD":
            return answer_head(refusal_or_app, scope, receive, send)
        return refusal_or_app(scope, receive, send)

    return answer
