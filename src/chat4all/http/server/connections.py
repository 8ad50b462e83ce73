"""What one connection may cost: seconds, bytes, requests ahead, and how many there may be.

uvicorn's protocol parses and answers; it has no limits of its own for a client that is slow, never
finishes or sends without end. They are here. None of them costs a request anything but a
comparison: `sweep` looks at all connections twice a second, where a timer for each would be set
and cancelled a thousand times for one that ever fires.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from heapq import nsmallest
from http import HTTPStatus
from math import inf
from operator import itemgetter
from typing import Any

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chat4all.domain.errors import Chat4AllError, Overloaded
from chat4all.http.edge import INSTEAD
from chat4all.http.problems import BadRequest, problem_response

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

HEADERS_MAX = 100
"""Headers and trailers of a request that comes in pieces. Each costs a call from the parser, and a
thousand of them keep the other clients waiting as long as several whole requests do."""

ARRIVE_MAX = 1024 * 1024
"""Bytes of one request on the wire: a body of 64 KiB sent in the smallest chunks, and its head."""

AHEAD_MAX = 16
"""Requests that a client may send before it has the answer to the first."""

CONNECTIONS_MAX = 2_000
"""Open connections to one port, each of 6 to 14 KB. For one more, those that have waited longest
for their client are closed; where all are being answered, it is answered 503."""

_CLOSED_SHARE = 40
"""A fortieth of all is closed then, because finding them looks at every connection."""

REFUSED_SHARE = 4
"""A quarter as many connections more may be told that there are too many; then they are only
closed."""

_STEP = 2 * 1024
"""Bytes that are parsed before the limits are looked at again."""

Refusal = tuple[HTTPStatus, str]

_TOO_LONG = (HTTPStatus.REQUEST_URI_TOO_LONG, "the request line and headers are larger than 32 KiB")
_TOO_MANY_HEADERS = (
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"the headers are more than {HEADERS_MAX}, or larger than 32 KiB",
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
_FULL = (HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open")


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What is refused here is answered as a problem, where HTTP has an answer."""

    transport: "_Lingering"  # type: ignore[assignment]

    def __init__(self, *args: Any, connections_max: int = CONNECTIONS_MAX, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections_max = connections_max
        self._arrived = 0
        """Bytes of a request that is not whole yet, in chunks that did not complete it."""
        self._fields = 0
        """Headers and trailers of the request that is coming in."""
        self._continuing = False
        """A parser is being told the head that another one has read."""
        self._refused = False
        """Nothing that still comes in is looked at."""
        self._state: tuple[str, object] = ("new", None)
        """What `check` saw last: what was done, and for which request."""
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or say that there are too many."""
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]
        self._since = self.loop.time()
        if len(self.connections) > self._connections_max:
            others = [one for one in self.connections if one is not self]
            _close_the_idle(others, max(1, self._connections_max // _CLOSED_SHARE))
        excess = len(self.connections) - self._connections_max
        if excess > self._connections_max // REFUSED_SHARE:
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
                if self.is_refused():
                    break

    def on_message_begin(self) -> None:
        """Take the first byte of a request; called by the parser."""
        if not self._continuing:
            super().on_message_begin()
            self._arrived = self._fields = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the request line; called by the parser."""
        if not self._continuing:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; called by the parser, with trailers as well.

        Those are counted and dropped: they come after what a proxy has added, and must not say who
        asks (RFC 9110, section 6.5.1).
        """
        self._fields += 1
        if self._in_head() and not self._continuing:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer; called by the parser."""
        if not self._continuing:
            super().on_headers_complete()

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

    def waits(self) -> tuple[bool, float] | None:
        """Return whether anything was asked here before, and since when its client is waited for.

        None while something is done.
        """
        kind, _, _ = self._doing()
        if self._refused or kind not in ("idle", "arriving"):
            return None
        return self.cycle is not None, self._since

    def leave(self) -> None:
        """Make room at once: many may come in one turn of the loop."""
        self.connections.discard(self)
        self.transport.abort()

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
        except httptools.HttpParserUpgrade as upgrade:
            self._stay_with_http(data[upgrade.args[0] :])
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

    def _stay_with_http(self, rest: bytes) -> None:
        """Go on after a request that offers another protocol: none is taken (RFC 9110, 7.8).

        The parser takes what follows for the other protocol's. Another one goes on in its place,
        which is told how the body comes that this one has not read.
        """
        self.parser = httptools.HttpRequestParser(self)
        framing = [
            b"%s: %s\r\n" % header
            for header in self.headers
            if header[0] in (b"content-length", b"transfer-encoding")
        ]
        if framing:
            self.cycle.more_body = True
            self._continuing = True
            self.parser.feed_data(b"".join([b"POST / HTTP/1.1\r\n", *framing, b"\r\n"]))
            self._continuing = False
        self._parse(rest)

    def _check_size(self) -> None:
        if self._fields > HEADERS_MAX:
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
            # Between two requests uvicorn looks at the clock itself.
            return "idle", cycle, ARRIVE_SECONDS if cycle is None else inf
        if not self._in_head():  # it was answered before it was here whole
            return "rest", cycle, LINGER_SECONDS
        return "arriving", self.scope, ARRIVE_SECONDS

    def _leaving(self) -> tuple[str, object, float]:
        if self.transport.get_write_buffer_size():
            return "taking", self.cycle, TAKE_SECONDS
        return "lingering", None, LINGER_SECONDS

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
            # Whether a page of another site may read the refusal depends on it.
            "headers": [header for header in self.headers or () if header[0] == b"origin"],
            INSTEAD: partial(_answer, refusal),
        }
        if "route" in begun:
            scope["route"] = begun["route"]
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


def _close_the_idle(connections: Sequence[Any], count: int) -> None:
    """Close those that never asked anything, then those that have waited longest."""
    waiting = [
        (waits, connection)
        for connection in connections
        if (waits := connection.waits()) is not None
    ]
    for _, connection in nsmallest(count, waiting, key=itemgetter(0)):
        connection.leave()


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
