"""How many connections there may be, on a server that has room for few."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from chat4all.http.edge import Edge, with_edge
from chat4all.http.server.protocol import BoundedProtocol
from tests.input.servers import NoMeter

pytestmark = pytest.mark.anyio

ROOM = 4
ORIGIN = "https://chat.example.com"


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def ask(self, path: str = "/") -> None:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\n\r\n"
        self.writer.write(head.encode())

    async def answer(self) -> str:
        """Return an answer's head; empty when the connection is closed."""
        async with asyncio.timeout(10):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return ""
        return head.decode()


class Place:
    """A server whose `/busy` is answered once `released` is set."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.busy = 0
        self.port = 0
        self.clients: list[Client] = []

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/busy":
            self.busy += 1
            await self.released.wait()
        await PlainTextResponse("x")(scope, receive, send)

    async def connect(self) -> Client:
        found = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(found)
        return found


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    found = Place()
    app = with_edge(found.app, Edge((ORIGIN,)), NoMeter(), pages={})
    config = uvicorn.Config(
        app,
        http=partial(BoundedProtocol, connections_max=ROOM),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    found.port = listener.getsockname()[1]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield found
    finally:
        found.released.set()
        for client in found.clients:
            client.writer.close()
            await asyncio.wait({asyncio.ensure_future(client.writer.wait_closed())})
        server.should_exit = True
        await serving


async def test_connections_without_a_request_are_closed_first() -> None:
    async with place() as here:
        used = await here.connect()
        used.ask()
        assert "200 OK" in await used.answer()
        silent = [await here.connect() for _ in range(ROOM - 1)]
        newcomer = await here.connect()
        newcomer.ask()
        assert "200 OK" in await newcomer.answer()
        assert await silent[0].answer() == ""
        for one in (used, *silent[1:]):
            one.ask()
            assert "200 OK" in await one.answer()


async def test_one_more_is_refused_when_all_are_busy() -> None:
    async with place() as here:
        busy = [await here.connect() for _ in range(ROOM)]
        for one in busy:
            one.ask("/busy")
        async with asyncio.timeout(10):
            while here.busy < ROOM:
                await asyncio.sleep(0.001)
        newcomer = await here.connect()
        refused = await newcomer.answer()
        assert "503 Service Unavailable" in refused
        assert "retry-after: 1" in refused
        too_much = await here.connect()
        assert await too_much.answer() == ""
        here.released.set()
        for one in busy:
            assert "200 OK" in await one.answer()


async def test_an_allowed_origin_may_read_a_refusal() -> None:
    async with place() as here:
        client = await here.connect()
        client.ask("/" + "x" * 40_000)
        refused = await client.answer()
        assert "414 " in refused
        client = await here.connect()
        client.writer.write(f"POST / HTTP/1.1\r\nOrigin: {ORIGIN}\r\nContent-Length: x".encode())
        client.writer.write(b"\r\n\r\n")
        refused = await client.answer()
        assert "400 " in refused
        assert f"access-control-allow-origin: {ORIGIN}" in refused
