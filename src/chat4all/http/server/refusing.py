"""Refusals by the connection itself: the same problems that an application would answer."""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chat4all.domain.errors import Chat4AllError, Overloaded
from chat4all.http.access_log import CALLER
from chat4all.http.edge import REFUSAL
from chat4all.http.problems import BadRequest, problem_response
from chat4all.http.server.limits import Refusal

_KEPT = (b"origin", b"x-forwarded-for", b"x-forwarded-proto")
"""Headers that count in a refusal: whether another site's page may read it (CORS), and whom a
trusted proxy asked for."""


def cycle_of_refusal(protocol: HttpToolsProtocol, refusal: Refusal) -> RequestResponseCycle:
    """Return a cycle that answers with this refusal and closes, instead of the application."""
    request: Any = {} if protocol.scope is None else protocol.scope
    scope: Any = {
        "type": "http",
        "http_version": "1.1",
        "method": request.get("method", ""),
        "path": request.get("path", ""),
        "query_string": b"",
        "scheme": protocol.scheme,
        "client": protocol.client,
        "headers": [header for header in protocol.headers or () if header[0] in _KEPT],
        REFUSAL: partial(_answer, refusal),
    }
    scope |= {key: request[key] for key in ("route", CALLER) if key in request}
    cycle = RequestResponseCycle(
        scope=scope,
        transport=protocol.transport,
        flow=protocol.flow,
        logger=protocol.logger,
        access_logger=protocol.access_logger,
        access_log=False,
        default_headers=protocol.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=False,
        on_response=protocol.on_response_complete,
    )
    cycle.more_body = False
    return cycle


async def _answer(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    status, detail = refusal
    error: Chat4AllError = BadRequest(status, detail)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        error = Overloaded(detail)
    elif status is HTTPStatus.TOO_MANY_REQUESTS:
        error = BadRequest(status, detail, {"Retry-After": "1"})
    await problem_response(error, scope["path"])(scope, receive, send)
