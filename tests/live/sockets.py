"""Sockets without a network: what was written to them, as a client reads it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from chat4all.gateway.live.connections import LiveSocket
from chat4all.gateway.live.live import Live
from chat4all.gateway.live.socket_client import LiveClient
from tests.live.described import check_frame

DEADLINE_SECONDS = 10.0

Frame = dict[str, Any]


def contents_of(raw: bytes) -> list[bytes]:
    """Return what is in unmasked text frames (RFC 6455, section 5.2)."""
    found = []
    while raw:
        assert raw[0] == 0x81
        size, start = raw[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(raw[2:start], "big")
        found.append(raw[start : start + size])
        raw = raw[start + size :]
    return found


def frames_in(raw: bytes) -> list[Frame]:
    """Return the JSON of unmasked text frames, each of which must be as it is described."""
    found: list[Frame] = [json.loads(content) for content in contents_of(raw)]
    for frame in found:
        check_frame(frame)
    return found


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


async def write_paced(socket: LiveSocket, frames: bytes) -> None:
    """Write a part of a replay."""
    await socket.room()
    socket.write_part(frames)


class FakeSocket:
    """Keeps what is written. A closed one is told to its client in the next turn of the loop."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.writes = 0
        self.code: int | None = None
        self.client: LiveClient | None = None
        self.paused: asyncio.Event | None = None
        """When set up, replays wait for it."""
        self.drains = True

    @property
    def is_open(self) -> bool:
        return self.code is None

    @property
    def has_room(self) -> bool:
        return True

    def write(self, frames: bytes) -> None:
        if self.is_open:
            written = frames_in(frames)
            # Delivered markers come by themselves, some time later.
            self.writes += any(frame["type"] != "delivered" for frame in written)
            self.frames += written

    def write_passing(self, frames: bytes) -> bool:
        self.write(frames)
        return self.is_open

    @property
    def has_drained(self) -> bool:
        return self.drains

    def write_part(self, frames: bytes) -> None:
        self.write(frames)

    async def room(self) -> None:
        if self.paused is not None:
            await self.paused.wait()
        await asyncio.sleep(0)
        if not self.is_open:
            raise ConnectionError

    def close(self, code: int, reason: str = "") -> None:
        if self.code is None:
            assert len(reason.encode()) <= 123
            self.code = code
            if self.client is not None:
                asyncio.get_running_loop().call_soon(self.client.closed)

    def say(self, **frame: Any) -> None:
        assert self.client is not None
        self.client.received(json.dumps(frame).encode())

    def of_type(self, *types: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] in types]

    async def heard(self, kind: str, count: int = 1) -> Frame:
        """Wait for so many frames of a type, and return the last one."""
        await until(lambda: len(self.of_type(kind)) >= count or not self.is_open)
        found = self.of_type(kind)
        assert len(found) >= count, (self.code, self.frames)
        return found[count - 1]

    def seqs(self) -> list[int]:
        return [frame["message"]["seq"] for frame in self.of_type("message")]


@dataclass
class FakeCredentials:
    token: str | None
    client: str = "127.0.0.1"
    scope: Scope = field(default_factory=dict)


def connect(live: Live, who: dict[str, str] | None) -> FakeSocket:
    """Connect as who has these headers; None sends its token later."""
    token = None if who is None else who["Authorization"].removeprefix("Bearer ")
    socket = FakeSocket()
    socket.client = live.client(socket, FakeCredentials(token))
    return socket


async def resumed(live: Live, who: dict[str, str], **positions: str) -> FakeSocket:
    """Connect, and be current."""
    socket = connect(live, who)
    await socket.heard("hello")
    socket.say(type="resume", positions=positions)
    await socket.heard("resumed")
    return socket
