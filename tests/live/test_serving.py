"""Sockets on a real server: refusals as problems, floods, clients that take nothing, the end."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from chat4all.gateway.live import timing
from chat4all.gateway.live.outgoing import WAITING_MAX
from chat4all.gateway.live.sockets import (
    Credentials,
    MakeClient,
    Socket,
    SocketClient,
    text_frame,
)
from chat4all.http.edge import Edge
from tests.live.frames import BINARY, CONT, PING, PONG, TEXT, Got, close, frame, text
from tests.live.memory import Connection, Recorder, live_sockets
from tests.live.serving import Client, Served, handshake, served

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}  # as the product


HELLO = Got(TEXT, b"token secret")


async def answer(client: Client) -> tuple[str, dict[str, Any]]:
    """Return the head and the problem that a request was answered with."""
    head = (await client.head()).lower()
    size = int(head.split("content-length: ")[1].split("\r\n")[0])
    return head, json.loads(await client.reader.readexactly(size))


def keeping() -> tuple[list[Socket], MakeClient]:
    """Return a list of sockets, and what adds to it."""
    sockets: list[Socket] = []

    def make(socket: Socket, credentials: Credentials) -> SocketClient:
        sockets.append(socket)
        return Recorder(socket, credentials)

    return sockets, make


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_whole_conversation() -> None:
    async with served() as here:
        client = await here.connect()
        client.writer.write(text("one", fin=False) + frame(PING, b"p") + frame(CONT, b"two"))
        assert await client.frames(3) == [HELLO, Got(PONG, b"p"), Got(TEXT, b"onetwo")]
        client.writer.write(text("close 4401"))
        (closed,) = await client.frames(1)
        assert closed.code == 4401
        client.writer.write(close(4401))
        assert await client.rest() == []
        await until(lambda: here.live.counts.open == 0)
        assert here.live.counts.closes == {"4401": 1}


async def test_frames_in_the_packet_of_the_request() -> None:
    async with served() as here:
        client = await here.open()
        client.writer.write(handshake("Authorization: Bearer secret") + text("early"))
        await client.head()
        assert await client.frames(2) == [HELLO, Got(TEXT, b"early")]


@pytest.mark.parametrize(
    ("request_", "status", "header"),
    [
        (b"GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n", 426, "upgrade: websocket"),
        (handshake().replace(b": 13", b": 8"), 426, "sec-websocket-version: 13"),
        (handshake().replace(b"Sec-WebSocket-Key", b"X"), 400, ""),
        (handshake("Origin: https://evil.example"), 403, ""),
        (handshake("Sec-WebSocket-Protocol: chat"), 400, ""),
        (handshake("Content-Length: 1") + b"x", 503, "retry-after: 1"),
        (handshake().replace(b"GET", b"POST", 1), 405, "allow: get, head"),
    ],
)
async def test_refusals_are_problems(request_: bytes, status: int, header: str) -> None:
    async with served() as here:
        client = await here.open()
        client.writer.write(request_)
        head, problem = await answer(client)
        assert f"http/1.1 {status} " in head
        assert header in head
        assert "x-request-id: " in head
        assert (problem["status"], problem["instance"]) == (status, "/v1/live")


async def test_an_allowed_origin_connects() -> None:
    async with served(edge=Edge(cors_origins=["https://app.example"])) as here:
        await here.connect("Origin: https://app.example")
        await here.connect("Origin: http://localhost")


async def test_above_all_limits_it_is_answered_503() -> None:
    async with served(sockets_max=4) as here:
        clients = [await here.connect() for _ in range(5)]
        last = await here.open()
        last.writer.write(handshake())
        head, problem = await answer(last)
        assert "http/1.1 503" in head
        assert "retry-after: " in head
        assert problem["detail"] == "too many sockets are open"
        refused = (await clients[4].frames(2))[1]
        assert refused.code == 1013
        assert await clients[0].frames(1) == [HELLO]


async def test_the_system_holds_little_and_finds_those_that_are_gone() -> None:
    """Mutant: without the options a connection whose other side vanished stays for 15 minutes."""
    sockets, make_client = keeping()
    async with served(make_client) as here:
        await here.connect()
        connection = sockets[0]._transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 64 * 1024


async def test_a_reader_that_stops_is_closed_and_the_others_go_on() -> None:
    sockets, make_client = keeping()
    async with served(make_client) as here:
        slow = await here.connect(limit=1024)
        quick = await here.connect()
        reading = asyncio.create_task(quick.frames(400))
        page = text_frame(b"x" * 4096)
        written = 0
        while sockets[0].is_open and written < 400:
            for one in sockets:
                one.write(page)
            await asyncio.sleep(0)
            written += 1
            assert sockets[0]._transport.get_write_buffer_size() <= WAITING_MAX + 2 * len(page)
        # What the process holds, and what the system holds on both sides.
        assert written * len(page) > WAITING_MAX
        for _ in range(400 - written):
            for one in sockets:
                one.write(page)
            await asyncio.sleep(0)
        assert len(await reading) == 400
        slow.writer.write(close(4408))
        got = await slow.rest()
        assert got[-1].code == 4408
        assert {len(one.payload) for one in got[:-1]} == {4096}
        await until(lambda: here.live.counts.open == 1)


# Floods


async def flood(here: Served, data: bytes, times: int = 1) -> list[Got]:
    """Send this so often, and return what the server said until it closed."""
    client = await here.connect()

    async def send() -> None:
        try:
            for _ in range(times):
                client.writer.write(data)
                await client.writer.drain()
        except ConnectionError:
            pass

    sending = asyncio.create_task(send())
    got = await client.rest()
    await sending
    client.writer.close()
    return got


FLOODS = {
    "empty frames": (text("") * 10_000, 4429),
    "pings": (frame(PING, b"!" * 125) * 10_000, 4429),
    "pieces": (text("", fin=False) + frame(CONT, b"x", fin=False) * 10_000, 4429),
    "huge": (bytes([0x81, 0xFF]) + (1 << 40).to_bytes(8, "big") + b"mask" + bytes(1 << 20), 1009),
    "huge in pieces": (
        text("x" * 9_000, fin=False) + frame(CONT, b"x" * 9_000, fin=False) * 100,
        1009,
    ),
    "not masked": (frame(TEXT, b"x", mask=False) * 100_000, 1002),
    "compressed": (frame(TEXT, b"x", reserved=4) * 100_000, 1002),
    "binary": (frame(BINARY, bytes(60_000)) * 20, 4400),
    "broken UTF-8": (frame(TEXT, b"\xff" * 60_000) * 20, 1007),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50_000, 1002),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_floods_end_with_their_code(name: str) -> None:
    data, code = FLOODS[name]
    async with served() as here:
        got = await flood(here, data, times=5)
        assert got[-1].code == code
        if code == 4429:
            assert json.loads(got[-2].payload)["retry_after"] == 5
        await until(lambda: here.live.counts.open == 0)
        other = await here.connect()
        other.writer.write(text("x"))
        assert await other.frames(2) == [HELLO, Got(TEXT, b"x")]


@pytest.mark.slow
async def test_a_flood_that_never_stops_is_cut() -> None:
    async with served() as here:
        client = await here.connect()
        while not client.reader.at_eof():
            client.writer.write(frame(BINARY, bytes(1 << 16)))
            await asyncio.sleep(0.01)
            if here.live.counts.open == 0:
                break
        await until(lambda: here.live.counts.open == 0)
        assert here.live.counts.closes == {"4400": 1}


MISTAKES = {
    1002: b"\xff\xff",
    1007: text(b"\xff"),
    1009: bytes([0x81, 0xFF]) + b"\xff" * 8,
    4400: frame(BINARY),
    4429: frame(PING) * 600,
}


@pytest.mark.parametrize("code", MISTAKES)
async def test_what_comes_after_a_mistake_is_dropped_slowly(code: int) -> None:
    connection = Connection(live_sockets()[0])
    connection.send(MISTAKES[code])
    assert connection.closed_with() == code
    assert connection.transport.has_eof
    received = connection.socket._counts.received
    for _ in range(3):
        connection.send(text("late") * 1000)
        assert not connection.transport.reads
        await until(lambda: connection.transport.reads)
    assert connection.socket._counts.received == received
    connection.transport.lose()


async def test_the_server_sweeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "FIRST_SECONDS", 0.01)
    async with served() as here:
        client = await here.open()
        client.writer.write(handshake())
        await client.head()
        _, last = await client.frames(2)
        assert last.code == 4401


async def test_much_behind_a_close(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as here:
        client = await here.connect()
        client.writer.write(close(1000) + text("late") * 1_000)
        assert [one.payload for one in await client.rest()] == [HELLO.payload, b"\x03\xe8"]
        await until(lambda: here.live.counts.open == 0)
        assert here.live.counts.closes == {"client": 1}
    assert [record for record in caplog.records if record.exc_info] == []


# The end of the server


@pytest.mark.slow
async def test_sockets_are_told_in_waves() -> None:
    async with served(grace_seconds=2) as here:
        clients = [await here.connect() for _ in range(40)]
        told: list[float] = []
        loop = asyncio.get_running_loop()

        async def wait(client: Client) -> None:
            _, last = await client.frames(2)
            told.append(loop.time())
            assert last.code == 1012
            client.writer.write(close(1012))
            assert await client.rest() == []

        waits = [asyncio.create_task(wait(one)) for one in clients]
        began = loop.time()
        async with asyncio.timeout(10):
            await here.running.stop()
            await asyncio.gather(*waits)
        assert max(told) - min(told) > 0.5
        assert max(told) - began < 2


@pytest.mark.slow
async def test_who_does_not_answer_is_cut_at_the_end() -> None:
    async with served(grace_seconds=1) as here:
        client = await here.connect()
        async with asyncio.timeout(5):
            await here.running.stop()
        _, last = await client.rest()
        assert last.code == 1012
