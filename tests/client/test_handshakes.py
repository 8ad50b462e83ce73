"""Handshakes and closings that are given up, by a deadline or because the program cancels them."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from websockets.utils import accept_key

from chat4all.client import Client, Closed, Unavailable
from tests.client.answering import listening

pytestmark = pytest.mark.anyio

SECONDS = 10.0


@dataclass
class Silent:
    """A server that never says anything."""

    url: str = ""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it has something of a handshake."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client has closed its connection."""


@asynccontextmanager
async def silent(
    scheme: str, begin: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[Silent]:
    """Serve: begin with a connection, and then only notice that it ends."""
    found = Silent()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await begin(reader, writer)
        found.begun.set()
        await reader.read()
        found.left.set()
        writer.close()

    async with listening(listen) as url:
        found.url = url.replace("http://127.0.0.1", f"{scheme}://localhost")
        yield found


async def hear_of_tls(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def open_a_socket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    (key,) = re.findall(r"(?i)^sec-websocket-key: (.*?)\r", head, re.MULTILINE)
    writer.write(
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode()
    )


@pytest.fixture(autouse=True)
def _nothing_is_collected() -> Iterator[None]:
    """What is left open stays open: the garbage collector would close it sooner or later."""
    gc.disable()
    yield
    gc.enable()


async def test_a_deadline_closes_the_connection() -> None:
    async with (
        silent("https", hear_of_tls) as server,
        Client(server.url, token="t", timeout=0.1) as client,
    ):
        with pytest.raises(Unavailable):
            await client.me()
        async with asyncio.timeout(SECONDS):
            await server.left.wait()


async def test_a_call_that_is_cancelled_leaves_no_connection() -> None:
    async with silent("https", hear_of_tls) as server, Client(server.url, token="t") as client:
        asking = asyncio.create_task(client.me())
        async with asyncio.timeout(SECONDS):
            await server.begun.wait()
            asking.cancel()
            await server.left.wait()
            await asyncio.wait([asking])
        assert asking.cancelled()


async def test_a_client_that_is_closed_leaves_no_connection() -> None:
    async with silent("https", hear_of_tls) as server, asyncio.timeout(SECONDS):
        async with Client(server.url, token="t") as client:
            following = asyncio.ensure_future(anext(client.events()))
            await server.begun.wait()
        with pytest.raises(Closed):
            await following
        await server.left.wait()


async def test_a_closing_that_is_cancelled_leaves_no_connection() -> None:
    """A program may cancel every task that there is, and close the client while one is closing."""
    async with silent("http", open_a_socket) as server, asyncio.timeout(SECONDS):
        async with Client(server.url, token="t") as client:
            following = asyncio.ensure_future(anext(client.events()))
            while client._live.socket is None:
                await asyncio.sleep(0.001)
            (connection,) = (
                one for one in asyncio.all_tasks() if one.get_name() == "chat4all-events"
            )
            connection.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            connection.cancel()
        with pytest.raises(Closed):
            await following
        await server.left.wait()
