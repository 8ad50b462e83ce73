"""The server's side of one WebSocket, on the streams of a connection that was upgraded."""

import asyncio
import json
import socket as sockets
import time

from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from tests.conformance.data import Json
from tests.conformance.shapes import check_frame

SUBPROTOCOL = Subprotocol("chat4all.v1")

FRAME_MOST = 64 * 1024
"""Bytes of one frame of a client (1009)."""

LOOKING_SECONDS = 0.005

SENDING_MOST = 64 * 1024
"""Bytes that the system takes: else it takes megabytes before a slow reader is noticed."""


def _select(protocol: ServerProtocol, offered: object) -> Subprotocol | None:
    return SUBPROTOCOL if SUBPROTOCOL in (offered or ()) else None  # type: ignore[operator]


class Socket:
    """What was received waits in `received`; None is the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol(max_size=FRAME_MOST, select_subprotocol=_select)
        self.received: asyncio.Queue[Json | None] = asyncio.Queue()
        self.is_closed = asyncio.Event()

    def accept(self, raw: bytes) -> None:
        """Answer the handshake, whose bytes these are."""
        transport_socket = self._writer.get_extra_info("socket")
        transport_socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, SENDING_MOST)
        self._protocol.receive_data(raw)
        (request,) = self._protocol.events_received()
        assert isinstance(request, Request)
        self._protocol.send_response(self._protocol.accept(request))
        self._flush()

    async def read(self) -> None:
        """Read until the end of the connection."""
        try:
            while data := await self._reader.read(64 * 1024):
                self._protocol.receive_data(data)
                for event in self._protocol.events_received():
                    if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                        self.received.put_nowait(json.loads(bytes(event.data)))
                self._flush()
                if self._protocol.close_expected():
                    break
        except OSError:
            pass
        finally:
            self.is_closed.set()
            self.received.put_nowait(None)
            self._writer.transport.abort()

    def send(self, frame: Json) -> None:
        """Send a frame; to a client that has gone nothing is sent."""
        check_frame(frame)
        if self._protocol.state is OPEN:
            self._protocol.send_text(json.dumps(frame, ensure_ascii=False).encode())
            self._flush()

    async def is_taken(self, seconds: float) -> bool:
        """Wait for what was sent to be taken. False once nothing was for so many seconds."""
        waiting = self._writer.transport.get_write_buffer_size()
        until = time.monotonic() + seconds
        while waiting and not self.is_closed.is_set():
            await asyncio.sleep(LOOKING_SECONDS)
            before, waiting = waiting, self._writer.transport.get_write_buffer_size()
            if waiting < before:
                until = time.monotonic() + seconds
            elif time.monotonic() > until:
                return False
        return True

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close."""
        try:
            self._protocol.send_close(code, reason)
        except ConnectionClosed:
            return
        self._flush()

    def abort(self) -> None:
        """End the connection without a word."""
        self._writer.transport.abort()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
            elif self._writer.can_write_eof():
                self._writer.write_eof()
