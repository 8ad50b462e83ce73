"""Random lives of clients on the embedded adapters, with the router that they are shipped with."""

import asyncio
import random
from typing import Any

import pytest

from tests.api.conftest import CHAT, Api
from tests.live.sockets import FakeSocket, connect, until

pytestmark = pytest.mark.anyio

STEPS = 120


class Device:
    """Keeps the numbers that it is told, and its position."""

    def __init__(self, api: Api, who: dict[str, str]) -> None:
        self._api = api
        self._who = who
        self._read = 0
        self.socket: FakeSocket | None = None
        self.has: list[dict[str, Any]] = []
        self.position = "0.0"

    def connect(self) -> None:
        if self.socket is None:
            self.socket, self._read = connect(self._api.parts.live, self._who), 0
            self.socket.say(type="resume", positions={CHAT: self.position})

    def cut(self) -> None:
        """Lose the connection: what was written and not read is lost with it."""
        if self.socket is not None:
            self.socket.close(1001)
            self.socket = None

    def read(self) -> None:
        """Read what was written so far."""
        if self.socket is None:
            return
        for frame in self.socket.frames[self._read :]:
            assert frame["type"] in {"hello", "message", "read", "resumed"}
            if frame["type"] == "message":
                self.has.append(frame["message"])
                self.position = frame["position"]
        self._read = len(self.socket.frames)


async def test_every_device_has_the_history_whatever_was_cut(api: Api) -> None:
    pick = random.Random(7)
    senders = [await api.sign_in("ana"), await api.sign_in("bruno")]
    devices = [Device(api, who) for who in (*senders, *senders)]
    devices[0].connect()
    for number in range(STEPS):
        device = pick.choice(devices)
        match pick.randrange(6):
            case 0 | 1 | 2:
                await api.send(pick.choice(senders), f"text {number}")
            case 3:
                device.read()
                device.cut()
            case 4:
                device.connect()
            case 5:
                device.read()
        for _ in range(pick.randrange(3)):
            await asyncio.sleep(0)
    await api.routed()
    history = await api.history(senders[0], "?limit=200")
    assert len(history) > STEPS // 4
    for device in devices:
        device.connect()

    def all_have_all() -> bool:
        for device in devices:
            device.read()
        return all(len(device.has) >= len(history) for device in devices)

    await until(all_have_all)
    texts = [(message["seq"], message["content"]) for message in history]
    for device in devices:
        assert [(message["seq"], message["content"]) for message in device.has] == texts
