"""What one connection may cost: seconds, bytes, requests ahead, and how many there may be.

uvicorn's protocol parses and answers; it has no limits of its own for a client that is slow, never
finishes or sends without end. They are here. None of them costs a request anything but a
comparison: `sweep` looks at all connections twice a second, where a timer for each would be set
and cancelled a thousand times for one that ever fires.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from math import inf
from typing import Any

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chat4all.domain.errors import Chat4AllError, Overloaded
from chat4all.web.frame import INSTEAD
from chat4all.web.problems import BadRequest, problem_response

ARRIVE_SECONDS = 6.0
"""From a request's first byte, or the connection's beginning, to the request's last byte."""

TAKE_SECONDS = 30.0
"""In which a client takes what was answered: an 8 MB page at 2 Mbit/s."""

LINGER_SECONDS = 2.0
"""How long what still comes in after a refusal is read and thrown away. Closing at once would reset
the connection, and with it the answer that the client has not read yet (RFC 9112, section 9.6)."""

DRAIN_EVERY_SECONDS = 0.002
"""Between two looks at what is thrown away, a quarter of a megabyte each: others come first."""

HEAD_MAX = 32 * 1024
"""Bytes of request line and headers together."""

HEADERS_MAX = 1_000
"""Headers and trailers of a request that comes in pieces."""

ARRIVE_MAX = 1024 * 1024
"""Bytes of one request on the wire: a body of 64 KiB sent in the smallest chunks, and its head."""

AHEAD_MAX = 32
"""Requests that a client may send before it has the answer to the first."""

CONNECTIONS_MAX = 2_000
"""Open connections to one port, each of 6 to 14 KB; one more is answered 503."""

_REFUSED_MAX = 500
"""Connections above that which may still be told so; one more is only closed."""

_STEP = 2 * 1024
"""Bytes that are parsed before the limits are looked at again."""

Refusal = tuple[HTTPStatus, str]

_TOO_LONG = (HTTPStatus.REQUEST_URI_TOO_LONG, "the request line and headers are larger than 32 KiB")
_TOO_MANY_HEADERS = (
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "the headers are larger than 32 KiB",
)
_TOO_LARGE = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than 64 KiB")
_TOO_SLOW = (
    HTTPStatus.REQUEST_TIMEOUT,
    f"the request did not arrive whole within {ARRIVE_SECONDS:g} s",
)
_TOO_FAR_AHEAD = (
    HTTPStatus.TOO_MANY_REQUESTS,
    f"more than {AHEAD_MAX} requests wait on this connection",
)
_NOT_HTTP = (HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1 as it should be")
_NO_UPGRADE = (HTTPStatus.BAD_REQUEST, "there is no other protocol here: send it without Upgrade")
_FULL = (HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open")


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What is refused here is answered as a problem, where HTTP has an answer."""

    transport: "_Lingering"  # type: ignore[assignment]

    def __init__(self, *args: Any, connections_max: int = CONNECTIONS_MAX, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections_max = connections_max
        self._arrived = 0
        """Bytes of a request that is not whole yet, in chunks that did not complete it."""
        self._refused = False
        """Nothing that still comes in is looked at."""
        self._state: tuple[str, object] = ("new", None)
        """What `check` saw last: what was done, and for which request."""
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or say that there are too many."""
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]
        excess = len(self.connections) - self._connections_max
        if excess > _REFUSED_MAX:
            self.transport.abort()
        elif excess > 0:
            self._refuse(_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection. What is still being answered is answered to nobody."""
        super().connection_lost(exc)
        # uvicorn tells only the newest request that the client is gone, not one before it.
        self.transport.write = _drop
        # Nothing may hold itself: the collector comes too seldom for what an attack leaves behind.
        self.pipeline.clear()
        self.transport.part()

    def data_received(self, data: bytes) -> None:
        """Parse what came in; a large piece step by step, so that a limit is met where it is."""
        self._unset_keepalive_if_required()
        if self._refused:
            self._drain()
        elif len(data) <= _STEP:
            self._parse(data)
        else:
            for first in range(0, len(data), _STEP):
                self._parse(data[first : first + _STEP])

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's, which is a sentence
        """Refuse what is not HTTP; called by uvicorn."""
        self._refuse(_NOT_HTTP)

    def shutdown(self) -> None:
        """End at once where nothing is being answered; see uvicorn."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.end()
        else:
            self.cycle.keep_alive = False

    def is_arriving(self) -> bool:
        """Say whether a request has begun and is not here whole."""
        return self.scope is not None and (self._in_head() or self.cycle.more_body)

    def is_refused(self) -> bool:
        """Say whether the client was refused and may not have noticed."""
        return self._refused

    def stop_listening(self) -> None:
        """Throw away whatever else the client sends."""
        self._refused = True
        self.flow.resume_reading()

    def check(self, now: float) -> None:
        """Act on a state that lasts too long. `now` is the event loop's time in seconds."""
        kind, request, limit = self._doing()
        if kind != self._state[0] or request is not self._state[1]:
            self._state, self._since = (kind, request), now
        elif now - self._since < limit:
            return
        elif kind == "arriving":
            self._refuse(_TOO_SLOW)
        elif kind in ("lingering", "taking"):
            self.transport.abort()
        else:
            self.transport.close()

    def _drain(self) -> None:
        """Let what is thrown away come in slowly."""
        self.flow.pause_reading()
        self.loop.call_later(DRAIN_EVERY_SECONDS, self._go_on_draining)

    def _go_on_draining(self) -> None:
        if self in self.connections:
            self.flow.resume_reading()

    def _parse(self, data: bytes) -> None:
        if self._refused:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._stay_with_http()
            return
        except httptools.HttpParserError:
            self.send_400_response("")
            return
        cycle = self.cycle
        if cycle is None or cycle.more_body or cycle.scope is not self.scope:
            self._arrived += len(data)
            self._check_size()
        else:
            self._arrived = 0
        if len(self.pipeline) > AHEAD_MAX:
            self._refuse(_TOO_FAR_AHEAD)

    def _stay_with_http(self) -> None:
        """Answer a request that wants to go on in another protocol, of which there is none here.

        The parser takes what follows for the other protocol's, a body as well.
        """
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers):
            self.cycle.more_body = True
            self._refuse(_NO_UPGRADE)
        else:
            self.stop_listening()
            self.cycle.keep_alive = False

    def _check_size(self) -> None:
        if len(self.headers or ()) > HEADERS_MAX:
            self._refuse(_TOO_MANY_HEADERS)
        elif self._in_head():
            if self._arrived > HEAD_MAX:
                long = self.scope is not None and len(self.url) > HEAD_MAX // 2
                self._refuse(_TOO_LONG if long else _TOO_MANY_HEADERS)
        elif self._arrived > ARRIVE_MAX:
            if self.cycle.response_complete:
                self.transport.close()
            else:
                self._refuse(_TOO_LARGE)

    def _in_head(self) -> bool:
        return self.cycle is None or self.cycle.scope is not self.scope

    def _doing(self) -> tuple[str, object, float]:
        """Return what this connection does, for which request, and for how many seconds it may."""
        cycle = self.cycle
        if self.transport.is_lingering or self.transport.get_write_buffer_size():
            return self._leaving()
        if cycle is not None and not cycle.response_complete:
            if cycle.more_body:
                return "arriving", cycle.scope, ARRIVE_SECONDS
            return "answering", None, inf
        if not self.is_arriving():
            return "idle", cycle, ARRIVE_SECONDS
        if not self._in_head():  # it was answered before it was here whole
            return "rest", cycle, LINGER_SECONDS
        return "arriving", self.scope, ARRIVE_SECONDS

    def _leaving(self) -> tuple[str, object, float]:
        if self.transport.is_lingering:
            return "lingering", None, LINGER_SECONDS
        return "taking", self.cycle, TAKE_SECONDS

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with a problem, after the answers that come before it, and close."""
        self.stop_listening()
        app: Any = self.app
        cycle = self._cycle_of_refusal(refusal)
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, app)
        elif not before.more_body:
            self.pipeline.appendleft((cycle, app))
        elif self.pipeline:
            self.pipeline[0] = (cycle, app)  # in the place of the one that is not whole
        else:
            # Whoever waits for the body is told that there is none.
            before.disconnected = True
            before.message_event.set()
            if before.response_started:
                self.transport.close()
            else:
                self._start_asgi_task(cycle, app)

    def _cycle_of_refusal(self, refusal: Refusal) -> RequestResponseCycle:
        begun: Any = {} if self.scope is None else self.scope
        scope: Any = {
            "type": "http",
            "http_version": "1.1",
            "method": begun.get("method", ""),
            "path": begun.get("path", ""),
            "query_string": b"",
            "scheme": self.scheme,
            "client": self.client,
            "headers": [],
            INSTEAD: partial(_answer, refusal),
        }
        cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,  # type: ignore[arg-type]
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        return cycle


def sweep(connections: Iterable[object], now: float) -> None:
    """Look at every connection; call it twice a second or so with the event loop's time."""
    for connection in tuple(connections):
        if isinstance(connection, BoundedProtocol):
            connection.check(now)


class _Lingering:
    """A transport whose `close` lets the client read its answer before the connection is cut."""

    __slots__ = (
        "_protocol",
        "_transport",
        "abort",
        "get_extra_info",
        "get_write_buffer_size",
        "is_lingering",
        "pause_reading",
        "resume_reading",
        "write",
    )

    def __init__(self, transport: asyncio.Transport, protocol: BoundedProtocol) -> None:
        self._transport = transport
        self._protocol: BoundedProtocol | None = protocol
        self.is_lingering = False
        self.write: Callable[[bytes], None] = transport.write
        self.abort = transport.abort
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.get_extra_info = transport.get_extra_info
        self.get_write_buffer_size = transport.get_write_buffer_size

    def is_closing(self) -> bool:
        """Say whether nothing more will be answered."""
        return self.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close; while the client is still sending, only our side at first."""
        if self._protocol is None or self.is_closing():
            return
        if not (self._protocol.is_refused() or self._protocol.is_arriving()):
            self._transport.close()
            return
        self.is_lingering = True
        self._protocol.stop_listening()
        self._transport.write_eof()

    def part(self) -> None:
        """Let go of the protocol once the connection is lost."""
        self._protocol = None

    def end(self) -> None:
        """Close without waiting for what the client still sends."""
        self._transport.close()


def _drop(_data: bytes) -> None:
    """Take the place of a transport's `write` when there is nobody to write to."""


async def _answer(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    status, detail = refusal
    refused: Chat4AllError = BadRequest(status, detail)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        refused = Overloaded(detail)
    elif status is HTTPStatus.TOO_MANY_REQUESTS:
        refused = BadRequest(status, detail, {"Retry-After": "1"})
    await problem_response(refused, scope["path"])(scope, receive, send)
