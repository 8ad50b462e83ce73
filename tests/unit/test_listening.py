"""`chat4all listen` against a gateway that says what a test wants."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from chat4all.concurrency.retrying import Backoff
from chat4all.domain.errors import CommandRefused
from chat4all.operations import listening
from chat4all.operations.listening import Listener, conversation_of
from chat4all.operations.signing_in import Account
from tests.records import CHATS

pytestmark = pytest.mark.anyio

CHAT = CHATS[0]

Script = Callable[[ServerConnection], Awaitable[None]]


class Signed(Account):
    """An account that gets tokens from nowhere."""

    def __init__(self) -> None:
        super().__init__("http://nowhere", "ana", "secret")
        self.lasts = 1000.0
        self.tokens = 0

    def renew(self) -> None:
        self.tokens += 1
        self.token = f"token-{self.tokens}"
        self.renew_at = time.monotonic() + self.lasts


class Gateway:
    """Each connection gets the next script; the last one stays open."""

    def __init__(self) -> None:
        self.account = Signed()
        self.told: list[str] = []
        self.authorized: list[str] = []
        self.heard: list[dict[str, Any]] = []
        self.scripts: Iterator[Script] = iter(())
        self.url = ""
        self.generations: Iterator[str] = itertools.repeat("g1")

    async def answer(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.authorized.append(socket.request.headers["Authorization"])
        await say(socket, type="hello", generation=next(self.generations))
        self.heard.append(json.loads(await socket.recv()))
        await next(self.scripts)(socket)

    async def frames(self, count: int, *scripts: Script) -> list[dict[str, Any]]:
        """Return so many frames that a listener yields."""
        self.scripts = iter(scripts)
        listener, found = Listener(self.url, self.account, self.told.append), []
        async with asyncio.timeout(10), aclosing(listener.frames()) as frames:
            async for frame in frames:
                found.append(frame)
                if len(found) == count:
                    break
        return found


@pytest.fixture
async def gateway(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    monkeypatch.setattr(listening, "BACKOFF", Backoff(0.001, 0.01))
    found = Gateway()
    async with serve(found.answer, "127.0.0.1", 0) as server:
        (listener,) = server.sockets
        found.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield found


async def say(socket: ServerConnection, **frame: Any) -> None:
    await socket.send(json.dumps(frame))


def message(seq: int, chat: str = CHAT) -> dict[str, Any]:
    said = {"conversation_id": chat, "seq": seq}
    return {"type": "message", "message": said, "position": f"{seq}.0"}


def saying(*frames: dict[str, Any], close: int | None = 1012) -> Script:
    async def script(socket: ServerConnection) -> None:
        for frame in frames:
            await say(socket, **frame)
        if close is None:
            await socket.wait_closed()
        else:
            await socket.close(close, "because")

    return script


async def test_after_a_break_it_asks_for_what_came_after_the_last_frame(gateway: Gateway) -> None:
    added = {"type": "conversation", "event": "added", "conversation_id": CHATS[1]}
    removed = added | {"event": "removed"}
    frames = [message(1), added | {"position": "7.0"}, message(2), removed]
    found = await gateway.frames(7, saying(*frames), saying(message(3), close=None))
    assert found == [hello(), *frames, hello(), message(3)]
    first, second = gateway.heard
    assert (first["positions"], second["positions"]) == ({}, {CHAT: "2.0"})
    assert (first["generation"], second["generation"]) == ("g1", "g1")
    assert gateway.authorized == ["Bearer token-1"] * 2
    (why,) = gateway.told
    assert why.startswith("the connection was closed with 1012 because; connecting again in 0.0 s")


async def test_positions_are_those_of_their_own_generation_until_resumed(gateway: Gateway) -> None:
    gateway.generations = itertools.chain(["g1", "g2", "g2"], itertools.repeat("g2"))
    resumed = {"type": "resumed", "markers": {}}
    await gateway.frames(
        8,
        saying(message(1), resumed),
        saying(),
        saying(resumed),
        saying(message(2), close=None),
    )
    assert [one["generation"] for one in gateway.heard] == ["g1", "g1", "g1", "g2"]


def hello() -> dict[str, Any]:
    return {"type": "hello", "generation": "g1"}


async def test_a_token_that_is_refused_is_renewed(gateway: Gateway) -> None:
    await gateway.frames(3, saying(close=4401), saying(message(1), close=None))
    assert gateway.authorized == ["Bearer token-1", "Bearer token-2"]


async def test_a_token_is_renewed_before_it_expires(gateway: Gateway) -> None:
    async def until_renewed(socket: ServerConnection) -> None:
        gateway.account.lasts = 1000.0
        gateway.heard.append(json.loads(await socket.recv()))
        await say(socket, **message(1))
        await socket.wait_closed()

    gateway.account.lasts = 0.05
    assert await gateway.frames(2, until_renewed) == [hello(), message(1)]
    assert gateway.heard[1] == {"type": "auth", "token": "token-2"}
    assert gateway.told == []


async def test_it_waits_as_long_as_it_is_told(gateway: Gateway) -> None:
    busy = {"type": "error", "problem": "/problems/overloaded", "retry_after": 0.3}
    began = time.monotonic()
    await gateway.frames(4, saying(busy, close=1013), saying(message(1), close=None))
    assert gateway.told[0].endswith("connecting again in 0.3 s")
    assert time.monotonic() - began >= 0.3


async def test_silence_is_a_lost_connection(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "SILENCE_SECONDS", 0.1)
    await gateway.frames(3, saying(close=None), saying(message(1), close=None))
    assert "nothing was heard" in gateway.told[0]


@pytest.mark.parametrize("code", listening.DEFECTS)
async def test_what_would_come_again_ends_it(gateway: Gateway, code: int) -> None:
    with pytest.raises(CommandRefused, match=f"closed with {code} because"):
        await gateway.frames(2, saying(close=code))


async def test_what_is_no_gateway_ends_it() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(CommandRefused, match="is answered with 403"):
            await anext(Listener(url, Signed(), print).frames())
    with pytest.raises(CommandRefused, match="does not answer"):
        await anext(Listener(url, Signed(), print).frames())


async def test_many_positions_are_sent_in_several_frames(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "POSITIONS_MAX", 2)
    chats = [f"chat-{n}" for n in range(3)]

    async def more(socket: ServerConnection) -> None:
        gateway.heard.append(json.loads(await socket.recv()))
        await saying(message(2), close=None)(socket)

    await gateway.frames(6, saying(*[message(1, chat) for chat in chats]), more)
    parts = [(len(frame["positions"]), frame["more"]) for frame in gateway.heard]
    assert parts == [(0, False), (2, True), (1, False)]


def test_a_frame_is_about_its_conversation() -> None:
    assert conversation_of(message(1)) == CHAT
    assert conversation_of({"type": "typing", "conversation_id": CHAT}) == CHAT
    assert conversation_of({"type": "hello"}) == ""
