"""Clients that others wrote, against the product in a process of its own."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import websockets

from tests.faults.running import CHAT, Running, call, until
from tests.input.test_fairness import resident
from tests.input.wire import Wire
from tests.live.frames import CLOSE, Got, close, parse, text
from tests.live.serving import handshake
from tests.live.test_serving import FLOODS

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

COMMAND = ["env", "CHAT4ALL_RATE_LIMITS=on", sys.executable, "-m", "tests.live.product"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("live"), command=COMMAND).start()
    yield found
    found.kill()


def url_of(running: Running) -> str:
    return f"ws://127.0.0.1:{running.port}/v1/live"


async def test_websockets(running: Running) -> None:
    headers = {"Authorization": "Bearer one"}
    async with websockets.connect(
        url_of(running), additional_headers=headers, proxy=None
    ) as socket:
        await socket.send("token")
        assert await socket.recv() == "one"
        await socket.send("é" * 30_000)
        assert await socket.recv() == "é" * 30_000
        await socket.send(["in ", "pieces"])
        assert await socket.recv() == "in pieces"
        await (await socket.ping())
        await socket.send("close 4401")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "as you wish")


async def test_websockets_refused(running: Running) -> None:
    evil = websockets.Origin("https://evil.example")
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url_of(running), origin=evil, proxy=None)
    response = refused.value.response
    assert response.status_code == 403
    assert json.loads(response.body)["type"] == "/problems/not-allowed"


async def test_aiohttp(running: Running) -> None:
    protocols = ["chat4all.v1", "bearer.two"]
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url_of(running), protocols=protocols, compress=15) as socket,
    ):
        assert socket.protocol == "chat4all.v1"
        assert not socket.compress
        await socket.send_str("token")
        assert await socket.receive_str() == "two"
        await socket.send_str("x" * 65_537)
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)


NODE = """
const socket = new WebSocket(process.argv[1], ["chat4all.v1", "bearer.three"]);
socket.onopen = () => { console.log(socket.protocol); socket.send("token"); };
socket.onmessage = ({ data }) => { console.log(data); socket.send("close 4408"); };
socket.onclose = ({ code, reason, wasClean }) => console.log(code, reason, wasClean);
"""


def test_node(running: Running) -> None:
    command = ["node", "--experimental-websocket", "--no-warnings", "-e", NODE, url_of(running)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.splitlines() == ["chat4all.v1", "three", "4408 as you wish true"], done


# What happens in a conversation


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("product")).start()
    yield found
    found.kill()


def send(product: Running, content: str) -> None:
    body = {"chat_id": CHAT, "content": content}
    assert call("POST", f"{product.gateway}/v1/messages", body, product.token("bruno"))[0] == 202


LISTEN = """
const [url, token] = process.argv.slice(1);
const socket = new WebSocket(url, ["chat4all.v1", `bearer.${token}`]);
socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.type === "hello") socket.send(JSON.stringify({ type: "resume", positions: {} }));
  if (frame.type === "resumed") console.log("resumed");
  if (frame.type === "message") { console.log(frame.message.content); socket.close(1000); }
};
"""


def test_node_hears_a_message(product: Running) -> None:
    command = ["node", "--experimental-websocket", "--no-warnings", "-e", LISTEN]
    with subprocess.Popen(
        [*command, url_of(product), product.token("ana")], stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdout is not None
        assert node.stdout.readline() == "resumed\n"
        send(product, "Olá! 🎉")
        assert node.stdout.readline() == "Olá! 🎉\n"
        assert node.wait(30) == 0


async def test_aiohttp_hears_a_message(product: Running) -> None:
    headers = {"Authorization": f"Bearer {product.token('ana')}"}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url_of(product), headers=headers) as socket,
    ):
        await socket.send_json({"type": "resume", "positions": {}})
        await hear(socket, "resumed")
        send(product, "by aiohttp")
        assert (await hear(socket, "message"))["message"]["content"] == "by aiohttp"


async def hear(socket: aiohttp.ClientWebSocketResponse, kind: str) -> Any:
    """Return the next frame of a type."""
    while True:
        frame = await socket.receive_json(timeout=30)
        if frame["type"] == kind:
            return frame


async def test_httpx_hears_events_and_resumes(product: Running) -> None:
    headers = {"Authorization": f"Bearer {product.token('ana')}"}
    path = f"/v1/conversations/{CHAT}/events"

    async def events(count: int, **more: str) -> list[tuple[str, str]]:
        """Return id and text of so many messages; the first one is sent once the stream began."""
        found: list[tuple[str, str]] = []
        async with client.stream("GET", path, headers=headers | more) as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            at = ""
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    at = value
                if name != "data":
                    continue
                frame = json.loads(value)
                if frame["type"] == "resumed" and not more:
                    await asyncio.to_thread(send, product, "one")
                elif frame["type"] == "message":
                    found.append((at, frame["message"]["content"]))
                    if len(found) == count:
                        break
        return found

    async with httpx.AsyncClient(base_url=product.gateway, timeout=30, trust_env=False) as client:
        ((position, content),) = await events(1)
        assert content == "one"
        send(product, "two")
        send(product, "three")
        missed = await events(2, **{"Last-Event-ID": position})
        assert [content for _, content in missed] == ["two", "three"]


# Raw frames


class RawSocket(Wire):
    """A connection with a finished handshake."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._frames: deque[Got] = deque()
        self.send(handshake("Authorization: Bearer four"))
        while b"\r\n\r\n" not in self._got:
            assert self._more()
        head, _, self._got = self._got.partition(b"\r\n\r\n")
        assert b" 101 " in head

    def frame(self) -> Got:
        """Return the next frame."""
        while not self._frames:
            found, self._got = parse(self._got)
            self._frames += found
            assert found or self._more(), "the connection has ended"
        return self._frames.popleft()


def test_raw_frames(running: Running) -> None:
    with RawSocket(running.port) as socket:
        socket.send(text("x", fin=False) + b"\x80\x80    ")
        assert socket.frame().payload == b"x"
        socket.send(close(1000))
        assert socket.frame() == Got(CLOSE, b"\x03\xe8")
        assert socket.is_closed()


# The process


@pytest.mark.timeout(120)
def test_memory_stays_flat_while_readers_stop(running: Running) -> None:
    """100 MB for each of 30 that take nothing, and one that takes everything."""
    with RawSocket(running.port) as reader:
        reader.send(text("all 100"))
        count_pages(reader)
        before = resident(running)
        stopped = [RawSocket(running.port) for _ in range(30)]
        reader.send(text("all 25000"))
        assert count_pages(reader) == 25_000
        assert resident(running) - before < 20 * 1024
        for one in stopped:
            one.socket.close()


def count_pages(reader: RawSocket) -> int:
    """Return how many pages come before `done`."""
    size, end = 0, text_of_server(b"done")
    last = b""
    while not last.endswith(end):
        data = reader.socket.recv(1 << 18)
        assert data
        size += len(data)
        last = (last + data)[-len(end) :]
    return (size - len(end)) // 4100


def text_of_server(payload: bytes) -> bytes:
    return bytes([0x81, len(payload)]) + payload


@pytest.mark.timeout(120)
def test_floods_leave_others_alone(running: Running) -> None:
    with RawSocket(running.port) as other:
        before = resident(running)
        for data, code in FLOODS.values():
            for _ in range(3):
                with RawSocket(running.port) as flood:
                    flood.send(data)
                    got = flood.frame()
                    while got.opcode != CLOSE:
                        got = flood.frame()
                    assert got.code == code
            began = time.monotonic()
            other.send(text("still there?"))
            assert other.frame().payload == b"still there?"
            assert time.monotonic() - began < 5
        assert resident(running) - before < 20 * 1024


def test_a_head_that_does_not_end(running: Running) -> None:
    with Wire(running.port) as wire:
        wire.send(handshake()[:-2])
        answer = wire.answer("GET")
        assert answer is not None
        assert answer.status == 408


def test_the_end(tmp_path: Path) -> None:
    running = Running(tmp_path, command=COMMAND).start()
    try:
        sockets = [RawSocket(running.port) for _ in range(20)]
        running.signal(signal.SIGTERM)
        for socket in sockets:
            assert socket.frame().code == 1012
            socket.send(close(1012))
            assert socket.is_closed()
            socket.socket.close()
        process = running.process
        assert process is not None
        until(lambda: process.poll() is not None)
        assert process.poll() == 0
    finally:
        running.kill()
