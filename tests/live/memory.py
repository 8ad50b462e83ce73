"""Sockets without a network: a transport that takes what a test lets it take."""

import asyncio
from collections import deque
from typing import Any

from chat4all.gateway.live.sockets import Credentials, LiveSockets, Socket, SocketClient
from tests.live.frames import CLOSE, Got, parse

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


class Recorder:
    """A client that keeps what it receives."""

    def __init__(self, socket: Socket, credentials: Credentials) -> None:
        self.socket = socket
        self.credentials = credentials
        self.messages: list[bytes] = []
        self.closes = 0

    def received(self, frame: bytes) -> None:
        assert not self.closes
        self.messages.append(frame)

    def closed(self) -> None:
        self.closes += 1


class Transport(asyncio.Transport):
    """Takes everything at once, or only what `take` says while `is_stuck`."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.Protocol
        self.taken = b""
        self.is_stuck = False
        self.reads = True
        self.has_eof = False
        self._waiting: deque[bytes] = deque()
        self._high = self._low = 1 << 16
        self._is_full = False
        self._is_closing = self._is_lost = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.has_eof
        self._waiting.append(bytes(data))
        if not self.is_stuck:
            self.take()
        elif self.get_write_buffer_size() > self._high and not self._is_full:
            self._is_full = True
            self.protocol.pause_writing()

    def take(self, size: int = 1 << 60) -> None:
        """Take so many bytes of what waits."""
        data = b"".join(self._waiting)
        self.taken += data[:size]
        self._waiting = deque([data[size:]] if data[size:] else [])
        if self._is_full and self.get_write_buffer_size() <= self._low:
            self._is_full = False
            self.protocol.resume_writing()
        if self._is_closing and not self._waiting:
            self.lose()

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._waiting))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        assert low is not None
        self._high, self._low = high, low

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write_eof(self) -> None:
        self.has_eof = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True
        if not self._waiting:
            self.lose()

    def abort(self) -> None:
        self._is_closing = True
        self._waiting.clear()
        self.lose()

    def lose(self) -> None:
        """Lose the connection, once."""
        self._is_closing = True
        if not self._is_lost:
            self._is_lost = True
            self.protocol.connection_lost(None)
            del self.protocol  # as a real one does

    def is_lost(self) -> bool:
        return self._is_lost


def request(
    *headers: tuple[bytes, bytes], path: str = "/v1/live", address: str = "192.0.2.1"
) -> dict[str, Any]:
    """Return the scope of a request for a socket; these headers are added."""
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "scheme": "http",
        "client": (address, 50_000),
        "headers": [
            (b"host", b"chat.example"),
            (b"connection", b"Upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", KEY),
            *headers,
        ],
    }


SIGNED_IN = (b"authorization", b"Bearer a-token")


class Connection:
    """A socket, its transport, and its client."""

    def __init__(self, live: LiveSockets, scope: dict[str, Any] | None = None) -> None:
        socket = live.upgrade(request(SIGNED_IN) if scope is None else scope)
        assert socket is not None
        self.socket = socket
        self._now = socket.opened_at
        self.transport = Transport()
        self.transport.protocol = socket
        socket.connection_made(self.transport)
        self.response, _, self.transport.taken = self.transport.taken.partition(b"\r\n\r\n")

    @property
    def client(self) -> Recorder:
        client: SocketClient | None = self.socket._client
        assert isinstance(client, Recorder)
        return client

    def send(self, *frames: bytes, chop: int = 0) -> None:
        """Let these bytes come in: together, or in pieces of `chop` bytes."""
        data = b"".join(frames)
        for first in range(0, len(data), chop or len(data) or 1):
            self.socket.data_received(data[first : first + (chop or len(data))])

    def pass_time(self, seconds: float) -> None:
        """Let the sweep look twice a second for so long."""
        for _ in range(int(seconds * 2)):
            self._now += 0.5
            self.socket.check(self._now)

    def got(self) -> list[Got]:
        """Return the frames that were taken, once."""
        frames, self.transport.taken = parse(self.transport.taken)
        return frames

    def closed_with(self) -> int:
        """Return the code of the one close frame, after which nothing may come."""
        *others, last = self.got()
        assert CLOSE not in [one.opcode for one in others]
        return last.code


def live_sockets(**options: Any) -> tuple[LiveSockets, list[Recorder]]:
    """Return sockets whose clients are recorders, and those, in the order they were made."""
    clients: list[Recorder] = []

    def make(socket: Socket, credentials: Credentials) -> SocketClient:
        clients.append(Recorder(socket, credentials))
        return clients[-1]

    return LiveSockets(make, **options), clients
