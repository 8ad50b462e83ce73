"""One WebSocket: frames in, messages to its client; and how it ends."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from websockets.frames import Frame, Opcode
from websockets.protocol import State

from chat4all.domain.errors import TooMany
from chat4all.gateway.live.assembling import Assembler
from chat4all.gateway.live.clients import Credentials, SocketClient
from chat4all.gateway.live.closing import Closing
from chat4all.gateway.live.codes import CloseCode, SocketClosed
from chat4all.gateway.live.last_words import too_many_frames
from chat4all.gateway.live.timing import Due, Timing
from chat4all.http.limits import Limit
from chat4all.ports.sockets import SocketCounts

STEP = 4 * 1024
"""Bytes that are parsed before the limits are checked again: 700 frames without content."""

_log = logging.getLogger(__name__)


class Socket(Closing):
    """The protocol of a connection, from the answer to the handshake on."""

    __slots__ = (
        "_assembler",
        "_client",
        "_credentials",
        "_response",
        "_shared",
        "key",
        "scope",
    )

    def __init__(
        self, shared: "Shared", key: str, response: bytes, credentials: Credentials
    ) -> None:
        super().__init__(
            shared.counts, Timing(shared.clock(), must_sign_in=credentials.token is None)
        )
        self.key = key
        """What its frames are counted under."""
        self.scope = credentials.scope
        self._shared = shared
        self._response = response
        self._credentials = credentials
        self._client: SocketClient | None = None
        self._assembler = Assembler()

    @property
    def opened_at(self) -> float:
        """Return the event loop's time at the handshake."""
        return self._timing.opened_at

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Answer the handshake, and find the client."""
        credentials = self._credentials
        del self._credentials  # with the token
        self._transport = transport
        self._bound_buffers()
        transport.write(self._response)
        self._written = len(self._response)
        self.is_open = True
        try:
            self._client = self._shared.make_client(self, credentials)
        except Exception:
            self._fail_on_our_side("a socket could not be begun")

    def data_received(self, data: bytes) -> None:
        """Read frames; of many in steps."""
        for first in range(0, len(data), STEP):
            if self._is_deaf:
                self._drain()
                return
            self._read(data[first : first + STEP])

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Let go of everything."""
        self.is_open, self._is_deaf = False, True
        self._wake()
        # No reference cycles: the collector runs too seldom to clean up after many connections.
        self._parser.parser.close()
        self._parser.parser_exc = None
        client, self._client = self._client, None
        self._shared.lost(self)
        if client is not None:
            client.closed()

    def shutdown(self) -> None:
        """Close: the server ends."""
        self.close(CloseCode.RESTARTING, "the server restarts")

    def check(self, now: float) -> None:
        """End a state that lasts too long, and send a heartbeat when nothing else was sent."""
        waiting = self._transport.get_write_buffer_size()
        is_incomplete = self._assembler.is_incomplete or bool(self._parser.reader.buffer)
        match self._timing.look(now, self._written, waiting, is_incomplete=is_incomplete):
            case None:
                pass
            case Due.HEARTBEAT:
                self.write(self._shared.heartbeat)
            case Due.SIGNED_OUT:
                self.close(CloseCode.NOT_SIGNED_IN, "no auth frame came within 10 s")
            case Due.INCOMPLETE:
                self.fail(CloseCode.TOO_SLOW, "a message did not arrive whole within 30 s")
            case Due.STUCK:
                self.close(CloseCode.TOO_SLOW, "nothing was taken for 30 s")
                self._transport.abort()
            case Due.ABORT:
                self._transport.abort()

    def _read(self, data: bytes) -> None:
        self._parser.receive_data(data)
        for event in self._parser.events_received():
            if isinstance(event, Frame) and not self._is_deaf:
                self._take(event)
        self._flush()

    def _take(self, frame: Frame) -> None:
        self._counts.received += 1
        try:
            self._shared.frames.take({}, self.key)
            if frame.opcode in (Opcode.TEXT, Opcode.CONT, Opcode.BINARY):
                message = self._assembler.add(frame)
                if message is not None:
                    self._deliver(message)
        except TooMany:
            self._flush()  # pongs: the error comes right before the close
            self.write(too_many_frames())
            self.fail(CloseCode.TOO_MANY_FRAMES, "too many frames")
        except SocketClosed as error:
            self.fail(error.code, str(error))

    def _deliver(self, message: bytes) -> None:
        self._timing.message_came()
        if self._parser.state is State.OPEN:
            self._flush()  # a ping is answered before what came after it
        if self.is_open and self._client is not None:
            try:
                self._client.received(message)
            except Exception:
                self._fail_on_our_side("a message on a socket could not be taken")

    def _fail_on_our_side(self, what: str) -> None:
        _log.exception(what)
        self.close(CloseCode.FAILED, "the server failed")


MakeClient: TypeAlias = Callable[[Socket, Credentials], SocketClient]


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sockets of a gateway have in common."""

    make_client: MakeClient
    heartbeat: bytes
    """A frame."""
    frames: Limit
    counts: SocketCounts
    lost: Callable[[Socket], None]
    clock: Callable[[], float]
    """The event loop's."""
