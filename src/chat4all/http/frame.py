"""What every answer has: a request id, security headers, a line in the access log, its metrics.

One ASGI layer for all of it: a layer costs more than its work.
"""

import re
import time
from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol, TypeAlias

import uuid_utils
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat4all.http.request_id import request_id_var

Header: TypeAlias = tuple[bytes, bytes]

REQUEST_ID = b"x-request-id"

_ADDED = "chat4all.headers"
_OF_CONTENT = "chat4all.content-headers"
_valid_request_id = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""API answers are data: whatever they contain, a browser must not run or frame them."""

_PUBLIC = ("/openapi.json", "/asyncapi.json", "/page/", "/problems/", "/static-offline-docs/")
_STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


class RequestMeter(Protocol):
    """Counts requests, or logs them."""

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Take note of a request whose answer begins, `seconds` after it came in."""
        ...


def add_headers(scope: MutableMapping[str, Any], *headers: Header) -> None:
    """Add these headers to the answer to this request, whatever the answer will be."""
    if (added := scope.get(_ADDED)) is None:
        scope[_ADDED] = [*headers]
    else:
        added += headers


def set_content_headers(scope: MutableMapping[str, Any], *headers: Header) -> None:
    """Use these for an answer that is a user's file, in place of the policy of its path.

    They are a Content Security Policy and how it may be cached.
    """
    scope[_OF_CONTENT] = headers


class Frame:
    """ASGI middleware, the outermost of ours.

    Takes the caller's `X-Request-Id` if it is valid, or makes one. `pages` has the
    content security policies of pages, by path; `cross_origin` says that other sites' pages may
    read.
    """

    def __init__(
        self,
        app: ASGIApp,
        meter: RequestMeter,
        access_log: RequestMeter,
        *,
        pages: Mapping[str, str],
        cross_origin: bool = False,
    ) -> None:
        self._app = app
        self._meter = meter
        self._access_log = access_log
        common = (
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (
                b"cross-origin-resource-policy",
                b"cross-origin" if cross_origin else b"same-origin",
            ),
        )
        api = (b"content-security-policy", API_POLICY.encode())
        self._common = common
        self._public = (*common, api)
        self._private = (*common, api, (b"cache-control", b"no-store"))
        self._pages = {
            path: (*common, (b"content-security-policy", policy.encode()))
            for path, policy in pages.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; its id is in the context meanwhile."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _callers_id(scope) or str(uuid_utils.uuid4())
        started = time.perf_counter()

        async def send_framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds, status = time.perf_counter() - started, message["status"]
                message["headers"] = [
                    *message["headers"],
                    (REQUEST_ID, request_id.encode()),
                    *self._headers(scope),
                    *scope.get(_ADDED, ()),
                ]
                self._meter.answered(scope, status, seconds)
                self._access_log.answered(scope, status, seconds)
            await send(message)

        token = request_id_var.set(request_id)
        try:
            await self._app(scope, receive, send_framed)
        finally:
            request_id_var.reset(token)

    def _headers(self, scope: Scope) -> tuple[Header, ...]:
        path = scope["path"]
        headers: tuple[Header, ...]
        if (of_content := scope.get(_OF_CONTENT)) is not None:
            headers = (*self._common, *of_content)
        elif path.startswith("/v1/"):
            headers = self._private
        elif (page := self._pages.get(path)) is not None:
            headers = page
        elif path.startswith(_PUBLIC):
            headers = self._public
        else:
            headers = self._private
        # Only a trusted proxy can have set the scheme.
        return (*headers, _STRICT_TRANSPORT) if scope["scheme"] == "https" else headers


def _callers_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == REQUEST_ID:
            return value.decode() if _valid_request_id.match(value) else None
    return None
