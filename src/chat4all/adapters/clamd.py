"""ClamAV's daemon `clamd`, by its protocol (man page clamd(8)): `INSTREAM` and `PING`.

On sockets rather than asyncio's streams: clamd answers and closes the connection before it has read
a file that is too large for it. A stream would then raise the error of the write, and drop the
answer that had arrived.
"""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from chat4all.adapters.network_errors import reason_of
from chat4all.domain.errors import TooLarge, Unavailable
from chat4all.domain.scanning import FOUND_MAX

CONNECT_SECONDS = 5.0

SEND_SECONDS = 60.0
"""For one piece: clamd writes it to its temporary file before it takes the next one."""

SCAN_SECONDS = 150.0
"""From the last byte to the answer. clamd itself gives up after `MaxScanTime`, 2 minutes."""

SCANNED_PER_SECOND = 16 * 1024 * 1024
"""Bytes of a file for which the answer may come a second later."""

PROBE_SECONDS = 10
"""How often the system asks the other side of a silent connection whether it is there. A machine
that lost its power ends no connection: without this a scan would wait for its answer."""

ANSWER_MAX = 4_096
"""Bytes of an answer."""

_END = b"\0"
_FOUND, _CLEAN, _TOO_LARGE = " FOUND", "stream: OK", "INSTREAM size limit exceeded"


class Clamd:
    """The port `ports.scanning.Scanner`.

    `address` is the absolute path of a Unix socket, or `host:port`. Every scan has a connection.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    async def scan(self, content: AsyncIterator[bytes]) -> str | None:
        """Return the name of what was found, None for a clean file; see `ports.scanning`."""
        async with self._connection() as connection:
            answer = await _instream(connection, content)
        if answer == _CLEAN:
            return None
        if answer.endswith(_FOUND):
            name = answer.removeprefix("stream: ").removesuffix(_FOUND)
            return "".join(c for c in name if c.isprintable())[:FOUND_MAX] or "unnamed"
        if answer.startswith(_TOO_LARGE):
            raise TooLarge(f"{self} takes no file of this size: raise its StreamMaxLength")
        raise self._unavailable(f"answers {answer[:FOUND_MAX]!r} to a scan")

    async def ping(self) -> None:
        """Return when it answers."""
        async with self._connection() as connection, asyncio.timeout(CONNECT_SECONDS):
            await _loop().sock_sendall(connection, b"zPING\0")
            answer = await _answer(connection)
        if answer != "PONG":
            raise self._unavailable("does not answer PING as clamd does")

    def __str__(self) -> str:
        return f"clamd at {self._address}"

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[socket.socket]:
        """Connect. What goes wrong in this context is `Unavailable`."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await _connected(self._address)
            with connection:
                yield connection
        except OSError as error:  # also `TimeoutError`
            raise self._unavailable(f"does not answer: {reason_of(error)}") from error

    def _unavailable(self, what: str) -> Unavailable:
        return Unavailable(f"{self} {what}", "the scanner of files does not work")


async def _connected(address: str) -> socket.socket:
    if address.startswith("/"):
        return await _connected_to(socket.AF_UNIX, address)
    host, _, port = address.rpartition(":")
    found = await _loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    failed: OSError | None = None
    for family, _, _, _, at in found:
        try:
            return await _connected_to(family, at)
        except OSError as error:
            failed = error
    raise failed or OSError("no address")


async def _connected_to(family: int, at: str | tuple[object, ...]) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        _notice_when_gone(connection)
        await _loop().sock_connect(connection, at)
    except BaseException:
        connection.close()
        raise
    return connection


def _notice_when_gone(connection: socket.socket) -> None:
    """Have the system end a connection whose other side has answered nothing for too long."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if connection.family != socket.AF_UNIX and sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
        # Not less than a piece may take: a side that takes nothing yet counts as gone, too.
        milliseconds = int(SEND_SECONDS * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


async def _instream(connection: socket.socket, content: AsyncIterator[bytes]) -> str:
    """Send a file; return the answer, which may come before the end of it."""
    answering, size = asyncio.create_task(_answer(connection)), 0
    try:
        # A connection that was closed has an answer, or else `answering` raises why it has none.
        with suppress(ConnectionError):
            await _send(connection, b"zINSTREAM\0")
            async for data in content:
                if answering.done():
                    break
                size += len(data)
                await _send(connection, len(data).to_bytes(4, "big") + data if data else b"")
            else:
                await _send(connection, bytes(4))
        async with asyncio.timeout(SCAN_SECONDS + size / SCANNED_PER_SECOND):
            return await answering
    finally:
        if not answering.done():
            answering.cancel()
            await asyncio.wait({answering})


async def _send(connection: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await _loop().sock_sendall(connection, data)


async def _answer(connection: socket.socket) -> str:
    """Return the answer without what ends it. Raises `ConnectionError` if it is cut off."""
    answer = b""
    while not answer.endswith(_END):
        data = await _loop().sock_recv(connection, ANSWER_MAX)
        answer += data
        if not data or len(answer) > ANSWER_MAX:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    return answer.removesuffix(_END).decode(errors="replace").strip()


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
