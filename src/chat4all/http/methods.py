"""Methods: HEAD wherever there is GET, and what `Allow` says of a path."""

from collections.abc import Iterable, Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_READING = ("GET", "HEAD")

WAS_HEAD = "chat4all.head"
"""The scope's key that says that a request is HEAD, while it is answered as if it were GET."""


def allow(methods: Iterable[str]) -> str:
    """Return the header `Allow` of a path that has these methods."""
    named = set(methods)
    return ", ".join(sorted(named.union(_READING) if "GET" in named else named))


def allowed(routes: Sequence[BaseRoute], scope: Scope) -> str:
    """Return the header `Allow` of a request's path: the methods of all routes that have it."""
    if "app_root_path" in scope:  # of mounted files
        scope = {**scope, "root_path": scope["app_root_path"]}
    return allow(
        method
        for route in routes
        if route.matches(scope)[0] is not Match.NONE
        # Mounted files have no list.
        for method in getattr(route, "methods", None) or _READING
    )


async def answer_head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer HEAD with the head of the answer to GET (RFC 9110, section 9.3.2)."""

    async def send_head(message: Message) -> None:
        # What is outside logs and counts the method that was asked.
        scope["method"] = "HEAD"
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    scope["method"], scope[WAS_HEAD] = "GET", True
    try:
        await app(scope, receive, send_head)
    finally:
        scope["method"] = "HEAD"
