"""uvicorn's protocol, within limits.

uvicorn's has no limits for a client that is slow, never finishes or sends without end. They are
here, and cost a request no more than a comparison each.
"""

import asyncio
import logging
import urllib.parse
from math import inf
from typing import Any

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chat4all.http.route_limits import (
    DEFAULT_LIMITS,
    HEAD_MAX,
    SENT,
    STALL_BYTES,
    RouteLimits,
    limits_of,
    note_stall,
)
from chat4all.http.server.limits import (
    AHEAD_MAX,
    CLOSED_SHARE,
    CONNECTIONS_MAX,
    DRAIN_EVERY_SECONDS,
    FULL,
    HEADERS_MAX,
    LINGER_SECONDS,
    NOT_HTTP,
    REFUSED_SHARE,
    STEP,
    TAKE_SECONDS,
    TOO_FAR_AHEAD,
    TOO_LONG,
    TOO_MANY_HEADERS,
    Refusal,
    body_too_large,
    too_slow,
)
from chat4all.http.server.lingering import LingeringTransport
from chat4all.http.server.refusing import cycle_of_refusal
from chat4all.http.server.sweeping import close_the_idle
from chat4all.http.server.upgrading import Upgrade, UpgradedConnections, UpgradedProtocol

_log = logging.getLogger(__name__)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Refusals are answered as problems, as far as HTTP allows an answer."""

    transport: LingeringTransport  # type: ignore[assignment]

    def __init__(
        self,
        *args: Any,
        connections_max: int = CONNECTIONS_MAX,
        upgrade: Upgrade | None = None,
        upgraded: UpgradedConnections | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._connections_max = connections_max
        self._upgrade = upgrade
        self._upgraded = UpgradedConnections() if upgraded is None else upgraded
        self._successor: UpgradedProtocol | None = None
        """The protocol that takes the connection over, or has."""
        self._arrived = 0
        """Bytes of an incomplete request, in the pieces received so far."""
        self._fields = 0
        """Number of headers and trailers of the request that is arriving."""
        self._continuing = False
        """Whether a new parser is being fed the head that the old one has parsed already."""
        self._refused = False
        """Whether further input is ignored."""
        self._state: tuple[str, object] = ("new", None)
        """The state at the last `check`: what the connection did, and for which request."""
        self._since = 0.0
        self._moved = 0
        """How far a long body or answer was at the last `check`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or refuse it when there are too many."""
        super().connection_made(LingeringTransport(transport, self))  # type: ignore[arg-type]
        self._since = self.loop.time()
        if len(self.connections) > self._connections_max:
            others: list[Any] = [one for one in self.connections if one is not self]
            close_the_idle(others, max(1, self._connections_max // CLOSED_SHARE))
        excess = len(self.connections) - self._connections_max
        if excess > self._connections_max // REFUSED_SHARE:
            self.transport.abort()
        elif excess > 0:
            self._refuse(FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the connection, and answers that are still being made."""
        super().connection_lost(exc)
        # uvicorn marks only the newest request as disconnected, not one before it.
        self.transport.write = _drop
        # No reference cycles: the collector runs too seldom to clean up after an attack.
        self.pipeline.clear()
        self.transport.part()

    def data_received(self, data: bytes) -> None:
        """Parse input; a large piece in steps, so that limits are checked in between."""
        self._unset_keepalive_if_required()
        if self._refused:
            self._drain()
        elif len(data) <= STEP:
            self._parse(data)
        else:
            end = 0
            while end < len(data):
                first, end = end, end + self._step()
                self._parse(data[first:end])
                if self._successor is not None:
                    self._pass_on(self._successor, data[end:])
                    break
                if self.is_refused():
                    break

    def on_message_begin(self) -> None:
        """Begin a request; called by the parser."""
        if not self._continuing:
            super().on_message_begin()
            self._arrived = self._fields = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the request line; called by the parser."""
        if not self._continuing:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; called by the parser, with trailers as well.

        Trailers are counted and dropped: they come after the headers that a proxy has added, and
        must not name the caller (RFC 9110, section 6.5.1).
        """
        self._fields += 1
        if self._in_head() and not self._continuing:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the answer, or find a protocol to take over with; called by the parser."""
        if self._continuing:
            return
        if self._upgrade is not None and self.parser.should_upgrade() and self._may_hand_over():
            self._successor = self._offer(self._upgrade)
        if self._successor is None:
            super().on_headers_complete()

    def _should_upgrade(self) -> bool:
        """Say whether this request is not to be answered here; called by uvicorn."""
        return self._successor is not None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's, which is a sentence
        """Refuse input that is not HTTP; called by uvicorn."""
        self._refuse(NOT_HTTP)

    def shutdown(self) -> None:
        """Close at once unless a request is being answered; see uvicorn."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.end()
        else:
            self.cycle.keep_alive = False

    def is_arriving(self) -> bool:
        """Say whether a request has begun to arrive and is incomplete."""
        return self.scope is not None and (self._in_head() or self.cycle.more_body)

    def waits(self) -> tuple[bool, float] | None:
        """Return whether there was a request before, and since when the connection is idle.

        None while it is busy.
        """
        kind, _, _ = self._doing()
        if self._refused or kind not in ("idle", "arriving"):
            return None
        return self.cycle is not None, self._since

    def leave(self) -> None:
        """Make room at once: many connections may arrive in one iteration of the loop."""
        self.connections.discard(self)
        self.transport.abort()

    def is_refused(self) -> bool:
        """Say whether the client was refused and may not know it yet."""
        return self._refused

    def stop_listening(self) -> None:
        """Discard whatever else the client sends."""
        self._refused = True
        self.flow.resume_reading()

    def check(self, now: float) -> None:
        """End a state that lasts too long. `now` is the event loop's time in seconds."""
        kind, request, limit = self._doing()
        if kind != self._state[0] or request is not self._state[1] or self._has_moved(kind):
            self._state, self._since = (kind, request), now
        elif now - self._since < limit:
            return
        elif kind == "arriving":
            note_stall(request)
            self._refuse(too_slow(self._limits()))
        elif kind in ("lingering", "taking"):
            note_stall(getattr(request, "scope", None))
            self.transport.abort()
        else:
            self.transport.close()

    def _has_moved(self, kind: str) -> bool:
        """Say whether a body or answer that may be long has gone on since the last check."""
        moved: int = 0
        if kind == "arriving" and self._limits().stall_seconds is not None:
            if self.flow.read_paused:
                return True  # it is we who are slow
            moved = self._arrived // STALL_BYTES
        elif kind == "taking" and self.cycle is not None:
            scope: Any = self.cycle.scope
            moved = scope.get(SENT, 0)
        before, self._moved = self._moved, moved
        return moved != before

    def _drain(self) -> None:
        """Read input to discard, slowly."""
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
            rest = data[upgrade.args[0] :]
            if self._successor is not None:
                self._hand_over(self._successor, rest)
            else:
                self._stay_with_http(rest)
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
            self._refuse(TOO_FAR_AHEAD)

    def _step(self) -> int:
        """Return how many bytes to parse in one go: of a long body, all that are only body."""
        if self._in_head() or self._limits().stall_seconds is None:
            return STEP
        length = dict(self.cycle.scope["headers"]).get(b"content-length", b"0")
        # What has arrived counts the head too, so this ends before the body does.
        return max(STEP, int(length) - self._arrived)

    def _may_hand_over(self) -> bool:
        """Say whether only the other protocol's bytes can follow on this connection."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and not (self._refused or self.transport.is_closing() or self._upgraded.is_ending)
            and self.parser.get_http_version() == "1.1"
            and not any(
                name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
                for name, value in self.headers
            )
        )

    def _offer(self, upgrade: Upgrade) -> UpgradedProtocol | None:
        url = httptools.parse_url(self.url)
        scope: Scope = {
            **self.scope,
            "method": self.parser.get_method().decode("ascii"),
            "path": urllib.parse.unquote(url.path.decode("ascii")),
            "raw_path": url.path,
            "query_string": url.query or b"",
        }
        try:
            return upgrade(scope)
        except Exception:
            _log.exception("an upgrade failed; the connection stays HTTP")
            return None

    def _hand_over(self, successor: UpgradedProtocol, rest: bytes) -> None:
        """Hand the connection over: from now on it is neither read nor counted here."""
        transport = self.transport.part()
        self.connections.discard(self)
        self.flow.resume_reading()
        # No reference cycles; `connection_lost`, which breaks them, is called on the successor.
        self.parser = self.cycle = self.scope = None  # type: ignore[assignment]
        transport.set_protocol(successor)
        self._upgraded.add(successor, transport)
        successor.connection_made(transport)
        if self.flow.write_paused:
            successor.pause_writing()
        self._pass_on(successor, rest)

    def _pass_on(self, successor: UpgradedProtocol, data: bytes) -> None:
        if data and not self.transport.is_closing():
            successor.data_received(data)

    def _stay_with_http(self, rest: bytes) -> None:
        """Ignore a request's offer of another protocol (RFC 9110, 7.8).

        The parser would take what follows for the other protocol. A new one replaces it, which is
        fed the headers that frame the body.
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
            self._refuse(TOO_MANY_HEADERS)
        elif self._in_head():
            if self._arrived > HEAD_MAX:
                long = self.scope is not None and len(self.url) > HEAD_MAX // 2
                self._refuse(TOO_LONG if long else TOO_MANY_HEADERS)
        elif self._arrived > self._limits().wire:
            if self.cycle.response_complete:
                self.transport.close()
            else:
                self._refuse(body_too_large(self._limits()))

    def _limits(self) -> RouteLimits:
        """Return the limits of the request that is arriving."""
        return DEFAULT_LIMITS if self._in_head() else limits_of(self.cycle.scope)

    def _in_head(self) -> bool:
        return self.cycle is None or self.cycle.scope is not self.scope

    def _doing(self) -> tuple[str, object, float]:
        """Return what this connection does, for which request, and the seconds that it may take."""
        cycle = self.cycle
        if self.transport.is_lingering or self.transport.get_write_buffer_size():
            return self._leaving()
        if cycle is not None and not cycle.response_complete:
            if cycle.more_body:
                limits = limits_of(cycle.scope)
                return "arriving", cycle.scope, limits.seconds_for(cycle.scope["headers"])
            return "answering", None, inf
        if not self.is_arriving():
            # Between two requests uvicorn has a timeout itself.
            return "idle", cycle, DEFAULT_LIMITS.seconds if cycle is None else inf
        if not self._in_head():  # it was answered before it had arrived completely
            return "rest", cycle, LINGER_SECONDS
        return "arriving", self.scope, DEFAULT_LIMITS.seconds

    def _leaving(self) -> tuple[str, object, float]:
        if self.transport.get_write_buffer_size():
            return "taking", self.cycle, TAKE_SECONDS
        return "lingering", None, LINGER_SECONDS

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with a problem, after the pending answers, and close."""
        self.stop_listening()
        app: Any = self.app
        cycle = cycle_of_refusal(self, refusal)
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, app)
        elif not before.more_body:
            self.pipeline.appendleft((cycle, app))
        elif self.pipeline:
            self.pipeline[0] = (cycle, app)  # in place of the incomplete request
        else:
            # The application waits for a body that does not come.
            before.disconnected = True
            before.message_event.set()
            if before.response_started:
                self.transport.close()
            else:
                self._start_asgi_task(cycle, app)


def _drop(_data: bytes) -> None:
    """Replace a transport's `write` once the connection is lost."""
