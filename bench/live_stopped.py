"""People whose sockets stop reading: a process of its own.

`python -m bench.live_stopped` reads a job as JSON from standard input, connects, resumes and prints
`ready`. Then it reads nothing any more, unless it is told to. After another line on standard input
it reads all that there is, and prints how many sockets the server has closed, as JSON.

Job: `host`, `port`, `sockets` (each the token of its user), `reads`.
"""

import asyncio
import json
import re
import socket
import sys
from typing import Any, cast

import uvloop

from .live_client import handshake, masked

RECEIVE_BUFFER = 16 * 1024
"""Bytes that the system may hold for a socket. By default it is megabytes."""

CLOSED = re.compile(rb"\x88.\x11\x38", re.DOTALL)
"""A close frame with 4408: too slow."""

CLOSE_SECONDS = 10.0
"""In which a server must have closed a socket that takes nothing."""

RESUME = masked(b'{"type":"resume","positions":{}}')


class Reader(asyncio.Protocol):
    """A socket that stops reading once it has resumed."""

    def __init__(self, token: str, *, reads: bool) -> None:
        self._token = token
        self._reads = reads
        self._seen = b""
        self.resumed, self.closed = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(handshake(self._token) + RESUME)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if b'"resumed"' in self._seen:
            self.resumed.set()
            if not self._reads:
                self.transport.pause_reading()
        if self.resumed.is_set():
            if CLOSED.search(self._seen):
                self.closed.set()
            self._seen = self._seen[-3:]

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()

    def read_on(self) -> None:
        self._reads = True
        if not self.transport.is_closing():
            self.transport.resume_reading()


async def connected(job: dict[str, Any], token: str) -> Reader:
    """Return a reader that has resumed."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    connection.setblocking(False)
    await loop.sock_connect(connection, (job["host"], job["port"]))
    reader = Reader(token, reads=job["reads"])
    await loop.create_connection(lambda: reader, sock=connection)
    await reader.resumed.wait()
    return reader


async def main() -> None:
    job = json.loads(sys.stdin.readline())
    readers = [await connected(job, token) for token in job["sockets"]]
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for reader in readers:
        reader.read_on()
    closed = [asyncio.ensure_future(reader.closed.wait()) for reader in readers]
    done, _ = await asyncio.wait(closed, timeout=0.0 if job["reads"] else CLOSE_SECONDS)
    print(json.dumps(len(done)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
