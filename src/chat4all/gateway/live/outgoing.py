"""What a server writes to a socket, and how much of it may wait there."""

import asyncio
import socket
import sys
from abc import abstractmethod

from chat4all.gateway.live.codes import CloseCode
from chat4all.http.server.upgrading import UpgradedProtocol
from chat4all.ports.sockets import SocketCounts

WAITING_MAX = 256 * 1024
"""Bytes that may wait for a client in this process. Above it the socket is closed."""

PASSING_MAX = WAITING_MAX // 2
"""Above it nothing is written that may be lost."""

PACED_MAX = 16 * 1024
"""What is paced is written once no more than this is waiting."""

ROOM_SECONDS = 30.0
"""In which a client must take a part of a replay, of 64 KB as a rule."""

SEND_BUFFER = 64 * 1024
"""Bytes that the system may hold in addition. By default it is megabytes."""

UNACKNOWLEDGED_SECONDS = 30
"""After which the system ends a connection whose other side acknowledges nothing or takes
nothing. There is always something to acknowledge: heartbeats."""


class Outgoing(UpgradedProtocol):
    """A socket as those see it who write to it.

    There is neither a task nor a queue: what waits is in the transport.
    """

    __slots__ = (
        "_counts",
        "_drained",
        "_is_full",
        "_paced_end",
        "_transport",
        "_written",
        "is_open",
    )

    def __init__(self, counts: SocketCounts) -> None:
        self.is_open = False
        """Whether frames are still written: from the handshake to the close frame."""
        self._counts = counts
        self._transport: asyncio.Transport
        self._written = 0
        """Bytes, since the handshake."""
        self._paced_end = 0
        """`_written` after the last paced write: what is before it does not count as waiting."""
        self._is_full = False
        """Whether more than `PACED_MAX` is waiting."""
        self._drained: asyncio.Event | None = None
        """Set once that ends; there is one only while somebody waits for it."""

    @property
    def has_room(self) -> bool:
        """Whether less than half of `WAITING_MAX` is waiting."""
        return not self._is_full or self._waiting() < PASSING_MAX

    @property
    def has_drained(self) -> bool:
        """Whether everything that was written has left this process."""
        return self._transport.get_write_buffer_size() == 0

    def write(self, frames: bytes) -> None:
        """Write frames; a closed socket ignores them.

        When more than `WAITING_MAX` is waiting the socket is closed with 4408.
        """
        if self.is_open:
            self._transport.write(frames)
            self._written += len(frames)
            self._counts.written += 1
            if self._is_full and self._waiting() > WAITING_MAX:
                self.close(CloseCode.TOO_SLOW, "too much is waiting for this socket")

    def write_passing(self, frames: bytes) -> bool:
        """Write frames that may be lost, and say whether they were written.

        They are dropped when half of `WAITING_MAX` is waiting.
        """
        if not self.is_open or (self._is_full and self._waiting() + len(frames) > PASSING_MAX):
            self._counts.dropped += 1
            return False
        self.write(frames)
        return self.is_open

    async def room(self) -> None:
        """Wait until little is waiting.

        Raises `ConnectionError` when the socket is closed; that happens too when what waits, a part
        of a replay as a rule, has not been taken within 30 s.
        """
        if self.is_open and self._is_full:
            try:
                async with asyncio.timeout(ROOM_SECONDS):
                    while self.is_open and self._is_full:
                        if self._drained is None:
                            self._drained = asyncio.Event()
                        await self._drained.wait()
            except TimeoutError:
                self.close(CloseCode.TOO_SLOW, "a replay was taken too slowly")
        if not self.is_open:
            raise ConnectionError("the socket is closed")

    def write_part(self, frames: bytes) -> None:
        """Write a part of a replay; a closed socket ignores it.

        It does not count as waiting, so that no replay closes its socket.
        """
        if not self.is_open:
            return
        self._transport.write(frames)
        self._written += len(frames)
        self._paced_end = self._written
        self._counts.written += 1

    @abstractmethod
    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame. The connection ends once the client has answered it, or after 5 s."""

    def pause_writing(self) -> None:
        """Note that much is waiting; called by the transport."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Note that little is waiting; called by the transport."""
        self._is_full = False
        self._wake()

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def _waiting(self) -> int:
        """Return how many bytes wait here, without those that were paced."""
        waiting = self._transport.get_write_buffer_size()
        return min(waiting, self._written - self._paced_end)

    def _bound_buffers(self) -> None:
        # One mark instead of two: between them nobody would be told that it has drained.
        self._transport.set_write_buffer_limits(PACED_MAX, PACED_MAX)
        connection = self._transport.get_extra_info("socket")
        if connection is None:
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if sys.platform == "linux":
            milliseconds = UNACKNOWLEDGED_SECONDS * 1000
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
