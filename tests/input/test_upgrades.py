"""Connections that are handed over to another protocol, on a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from chat4all.http.edge import Edge, with_edge
from chat4all.http.route_limits import DEFAULT_LIMITS
from chat4all.http.server.upgrading import UpgradedProtocol
from tests.input.servers import NoMeter, Running, serving

pytestmark = pytest.mark.anyio

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
GOODBYE = b"the server ends"


class Echo(UpgradedProtocol):
    """Says what it hears."""

    def __init__(self, *, patient: bool = False) -> None:
        self._patient = patient

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(SWITCHED)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def shutdown(self) -> None:
        self._transport.write(GOODBYE)
        if not self._patient:
            self._transport.close()


class Hook:
    """Hands `/echo` over, and keeps what it was asked about."""

    def __init__(self, *, patient: bool = False) -> None:
        self.scopes: list[Scope] = []
        self._patient = patient

    def __call__(self, scope: Scope) -> UpgradedProtocol | None:
        self.scopes.append(scope)
        if scope["path"] == "/broken":
            raise ZeroDivisionError
        return Echo(patient=self._patient) if scope["path"] == "/echo é" else None


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await PlainTextResponse(scope["path"])(scope, receive, send)


def offer(path: str = "/echo%20%C3%A9?a=b", *more: str, version: str = "1.1") -> bytes:
    lines = [f"GET {path} HTTP/{version}", "Host: x", "Connection: Upgrade", "Upgrade: echo"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def expect(self, data: bytes) -> None:
        async with asyncio.timeout(10):
            assert await self.reader.readexactly(len(data)) == data

    async def status(self) -> int:
        """Return an answer's status, and pass over its body."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            await self.reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        return int(head.split(" ")[1])


@asynccontextmanager
async def client_of(running: Running) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", running.port))
    try:
        yield client
    finally:
        client.writer.close()
        await asyncio.wait({asyncio.ensure_future(client.writer.wait_closed())})


@asynccontextmanager
async def with_hook(hook: Hook | None, **options: int) -> AsyncIterator[tuple[Running, Client]]:
    application = with_edge(app, Edge(), NoMeter(), pages={})
    async with (
        serving(application, upgrade=hook, **options) as running,
        client_of(running) as client,
    ):
        yield running, client


async def test_a_connection_is_handed_over() -> None:
    hook = Hook()
    async with with_hook(hook) as (running, client):
        client.writer.write(offer())
        await client.expect(SWITCHED)
        client.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await client.expect(b"GET / HTTP/1.1\r\n\r\n")
        (scope,) = hook.scopes
        assert (scope["method"], scope["path"]) == ("GET", "/echo é")
        assert (scope["raw_path"], scope["query_string"]) == (b"/echo%20%C3%A9", b"a=b")
        assert (b"upgrade", b"echo") in scope["headers"]
        assert running.server.connections() == 0


@pytest.mark.parametrize("size", [1, 100, 2_000, 5_000, 100_000])
async def test_bytes_sent_together_with_the_request(size: int) -> None:
    async with with_hook(Hook()) as (_, client):
        data = bytes(n % 251 for n in range(size))
        client.writer.write(offer() + data)
        await client.expect(SWITCHED + data)


async def test_after_requests_that_are_answered() -> None:
    async with with_hook(Hook()) as (_, client):
        client.writer.write(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.status() == 200
        client.writer.write(offer()[:30])
        await asyncio.sleep(0.01)
        client.writer.write(offer()[30:])
        await client.expect(SWITCHED)


@pytest.mark.slow
@pytest.mark.timeout(30)
async def test_it_is_not_swept() -> None:
    """Mutant: a connection that is handed over and stays among those with limits in time."""
    async with with_hook(Hook()) as (_, client):
        client.writer.write(offer() + b"x")
        await client.expect(SWITCHED + b"x")
        await asyncio.sleep(DEFAULT_LIMITS.seconds + 1.5)
        client.writer.write(b"still here")
        await client.expect(b"still here")


async def test_it_ends_with_the_server() -> None:
    async with with_hook(Hook()) as (running, client):
        client.writer.write(offer())
        await client.expect(SWITCHED)
        async with asyncio.timeout(5):
            await running.stop()
        await client.expect(GOODBYE)
        assert await client.reader.read() == b""


@pytest.mark.thorough
async def test_what_does_not_close_is_cut() -> None:
    async with with_hook(Hook(patient=True), grace_seconds=1) as (running, client):
        client.writer.write(offer())
        await client.expect(SWITCHED)
        async with asyncio.timeout(5):
            await running.stop()
        await client.expect(GOODBYE)
        assert await client.reader.read() == b""


async def test_those_that_are_closed_are_let_go() -> None:
    async with with_hook(Hook()) as (running, client):
        client.writer.write(offer())
        await client.expect(SWITCHED)
        assert len(running.server.upgraded) == 1
        client.writer.close()
        async with asyncio.timeout(10):
            while len(running.server.upgraded):
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("hook", [None, Hook()])
async def test_an_offer_that_is_not_taken_is_answered(hook: Hook | None) -> None:
    async with with_hook(hook) as (_, client):
        path = "/elsewhere" if hook else "/echo%20%C3%A9"
        body = ["Content-Length: 3"]
        client.writer.write(offer(path) * 2 + offer(path, *body) + b"abc" + offer(path))
        assert [await client.status() for _ in range(4)] == [200] * 4


@pytest.mark.parametrize(
    "request_",
    [
        offer("/echo%20%C3%A9", "Content-Length: 3") + b"abc",
        offer("/echo%20%C3%A9", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n",
        offer().replace(b"Connection: Upgrade\r\n", b""),
        offer(version="1.0"),
    ],
    ids=["body", "chunks", "no connection header", "HTTP/1.0"],
)
async def test_a_request_that_cannot_be_handed_over_is_not_offered(request_: bytes) -> None:
    hook = Hook()
    async with with_hook(hook) as (_, client):
        client.writer.write(request_)
        assert await client.status() == 200
        assert hook.scopes == []


async def test_behind_an_unanswered_request_it_stays_http() -> None:
    hook = Hook()
    async with with_hook(hook) as (_, client):
        client.writer.write(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n" + offer())
        assert [await client.status() for _ in range(2)] == [200, 200]
        assert hook.scopes == []


async def test_a_hook_that_fails_leaves_the_answer_to_the_application(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with with_hook(Hook()) as (_, client):
        client.writer.write(offer("/broken"))
        assert await client.status() == 200
    assert any(r.exc_info and r.exc_info[0] is ZeroDivisionError for r in caplog.records)
