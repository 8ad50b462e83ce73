"""A name for every request, which is in its answer, in its problem and in every line of its log."""

import logging
import re
import time
from contextvars import ContextVar

import uuid_utils
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-request-id"

_given = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")
_current: ContextVar[str] = ContextVar("request_id", default="")
_log = logging.getLogger("chat4all.access")


def current_request_id() -> str:
    """Return the id of the request that is being answered; empty outside of one."""
    return _current.get()


class RequestIds:
    """ASGI middleware: takes the caller's `X-Request-Id` where it is harmless, or makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request under its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope) or str(uuid_utils.uuid4())
        header = (HEADER, request_id.encode())
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
                _access(scope, message["status"], started)
            await send(message)

        token = _current.set(request_id)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            _current.reset(token)


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == HEADER:
            return value.decode() if _given.match(value) else None
    return None


def _access(scope: Scope, status: int, started: float) -> None:
    """Log a request: refusals and failures always, what went well only where asked for."""
    level = logging.DEBUG if status < 400 else logging.INFO if status < 500 else logging.WARNING
    if _log.isEnabledFor(level):
        _log.log(
            level,
            "request",
            extra={
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "milliseconds": round((time.perf_counter() - started) * 1000, 1),
            },
        )
