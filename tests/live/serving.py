"""Sockets on a real server in this process, and clients that speak raw bytes to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import PlainTextResponse

from chat4all.gateway.live.sockets import (
    Credentials,
    LiveSockets,
    MakeClient,
    Socket,
    text_frame,
)
from chat4all.http.edge import Edge, with_edge
from chat4all.http.fast_routes import FastRoutes
from tests.input.servers import NoMeter, Running, serving
from tests.live.frames import Got, parse

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Echo:
    """Says its token at first, then what it hears; `close 4401` closes with that code."""

    def __init__(self, socket: Socket, credentials: Credentials) -> None:
        self._socket = socket
        socket.write(text_frame(f"token {credentials.token}".encode()))

    def received(self, frame: bytes) -> None:
        if frame.startswith(b"close "):
            self._socket.close(int(frame[6:]), "as you wish")
        else:
            self._socket.write(text_frame(frame))

    def closed(self) -> None:
        pass


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._rest = b""

    async def head(self) -> str:
        """Return the head of the answer to the request."""
        async with asyncio.timeout(10):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")

    async def frames(self, count: int) -> list[Got]:
        """Return the next frames; fewer when the connection ends."""
        found: list[Got] = []
        async with asyncio.timeout(20):
            while len(found) < count:
                got, self._rest = parse(self._rest)
                found += got
                if len(found) < count:
                    data = await self.reader.read(1 << 16)
                    if not data:
                        break
                    self._rest += data
        return found

    async def rest(self) -> list[Got]:
        """Return all frames until the end of the connection."""
        return await self.frames(1 << 30)


def handshake(*more: str, path: str = "/v1/live") -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
    ]
    return "\r\n".join([*lines, *more, "", ""]).encode()


@dataclass
class Served:
    """Sockets, and the server that they are on."""

    live: LiveSockets
    running: Running
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.running.port

    async def connect(self, *headers: str, **options: Any) -> Client:
        """Return a connection with a finished handshake."""
        client = await self.open(**options)
        client.writer.write(handshake("Authorization: Bearer secret", *headers))
        assert "101 Switching Protocols" in await client.head()
        return client

    async def open(self, **options: Any) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, **options))
        self._writers.append(client.writer)
        return client

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
            await asyncio.wait({asyncio.ensure_future(writer.wait_closed())})


@asynccontextmanager
async def served(
    make_client: MakeClient = Echo, edge: Edge | None = None, grace_seconds: int = 3, **options: Any
) -> AsyncIterator[Served]:
    """Serve sockets in front of an application that answers everything else with its path."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(scope["path"])(scope, receive, send)

    edge = edge or Edge()
    live = LiveSockets(make_client, origins=edge.cors_origins, **options)
    application = with_edge(FastRoutes([live.route], app), edge, NoMeter(), pages={})
    async with serving(application, upgrade=live.upgrade, grace_seconds=grace_seconds) as running:
        found = Served(live, running)
        try:
            yield found
        finally:
            await found.close()
