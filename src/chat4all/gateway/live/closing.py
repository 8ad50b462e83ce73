"""How a WebSocket ends: the close frame, the client's answer to it, the end of the connection."""

import asyncio
import logging

from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol

from chat4all.gateway.live.codes import CloseCode
from chat4all.gateway.live.outgoing import Outgoing
from chat4all.gateway.live.timing import Timing
from chat4all.http.server.limits import DRAIN_EVERY_SECONDS
from chat4all.ports.sockets import SocketCounts
from chat4all.wire.frames import FRAME_MAX

CONTROL_MAX = 125
"""Bytes of a control frame, which may come within a message that has reached its limit."""

REASON_MAX = 123
"""Bytes of the reason in a close frame."""

_quiet = logging.getLogger(f"{__name__}.frames")
_quiet.setLevel(logging.WARNING)
"""For the library, which at DEBUG logs what messages contain."""


class Closing(Outgoing):
    """A socket as far as its end goes, by whichever side."""

    __slots__ = (
        "_is_deaf",
        "_parser",
        "_timing",
        "close_code",
        "close_reason",
        "is_closed_by_client",
    )

    def __init__(self, counts: SocketCounts, timing: Timing) -> None:
        super().__init__(counts)
        self.close_code: int = CloseCode.LOST
        """That of the side which began to close."""
        self.close_reason = ""
        self.is_closed_by_client = False
        """Whether the client sent its close frame first."""
        self._timing = timing
        # Larger than a message, which `Assembler` measures.
        self._parser = ServerProtocol(
            state=State.OPEN, max_size=FRAME_MAX + CONTROL_MAX, logger=_quiet
        )
        self._is_deaf = False
        """Whether what comes in is dropped."""

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame. The connection ends once the client has answered it, or after 5 s."""
        if self.is_open:
            self._note(code, reason)
            if self._parser.state is State.OPEN:
                self._parser.send_close(code, _shortened(reason))
            self._flush()

    def fail(self, code: int, reason: str) -> None:
        """Send a close frame and do not wait for an answer: what else comes in is not read."""
        self._note(code, reason)
        self._parser.fail(code, _shortened(reason))
        self._flush()

    def _note(self, code: int, reason: str) -> None:
        if self.is_open and self.close_code == CloseCode.LOST:
            self.close_code, self.close_reason = code, reason

    def _flush(self) -> None:
        """Write what the parser has to send: pongs, a close frame, the end."""
        parser = self._parser
        pieces = parser.data_to_send()
        if not pieces:
            return
        if parser.state is State.OPEN:
            self.write_passing(b"".join(pieces))
            return
        if self.is_open:
            self._send_close(b"".join(pieces))
        if SEND_EOF in pieces and not self._transport.is_closing():
            self._is_deaf = True
            if parser.close_rcvd is not None:
                self._transport.close()
            else:
                # Closing at once would reset the connection, and the client would miss the code.
                self._transport.write_eof()

    def _send_close(self, frames: bytes) -> None:
        parser = self._parser
        if parser.close_rcvd is not None:
            self.is_closed_by_client = self.close_code == CloseCode.LOST
            self._note(parser.close_rcvd.code, "by the client")
        elif parser.close_sent is not None:
            self._note(parser.close_sent.code, parser.close_sent.reason)
        self.is_open = False
        self._transport.write(frames)
        self._written += len(frames)
        self._timing.closing()
        self._wake()

    def _drain(self) -> None:
        """Read what is dropped slowly: other clients come first."""
        if not self._transport.is_closing():
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(DRAIN_EVERY_SECONDS, self._go_on_draining)

    def _go_on_draining(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()


def _shortened(reason: str) -> str:
    return reason.encode()[:REASON_MAX].decode(errors="ignore")
