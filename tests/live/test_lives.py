"""Random lives of clients on the embedded adapters, with the router that they are shipped with."""

import asyncio
import random
from typing import Any

import pytest

from tests.api.changing import PATH, THUMB
from tests.api.conftest import CHAT, Api
from tests.live.sockets import FakeSocket, connect, until

pytestmark = pytest.mark.anyio

STEPS = 120


class Device:
    """Keeps what it is told, and its position."""

    def __init__(self, api: Api, who: dict[str, str]) -> None:
        self._api = api
        self._who = who
        self._read = 0
        self.socket: FakeSocket | None = None
        self.has: list[dict[str, Any]] = []
        """Message n is at n - 1."""
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
            match frame["type"]:
                case "message":
                    self.has.append(frame["message"])
                    self.position = frame["position"]
                    assert frame["message"]["seq"] == len(self.has)
                case "message_changed":
                    self._changed(frame["message"])
                    self.position = frame["position"]
                case kind:
                    assert kind in {"hello", "read", "delivered", "resumed"}
        self._read = len(self.socket.frames)

    def _changed(self, message: dict[str, Any]) -> None:
        """Show a message as it is now, also where it is answered."""
        self.has[message["seq"] - 1] = message
        for other in self.has:
            if other["reply_to"] and other["reply_to"]["seq"] == message["seq"]:
                deleted = message["deleted_at"] is not None
                other["reply_to"] |= {"content": message["content"], "deleted": deleted}


async def change(api: Api, who: dict[str, str], message: str, number: int) -> bool:
    """Change one's own message in one of four ways; say whether it was accepted."""
    path = f"{PATH}/{message}"
    reaction = f"{path}/reactions/{THUMB}"
    match number % 4:
        case 0:
            text = {"content": f"edited by {number}"}
            answer = await api.gateway.patch(path, json=text, headers=who)
        case 1:
            answer = await api.gateway.put(reaction, headers=who)
        case 2:
            answer = await api.gateway.delete(reaction, headers=who)
        case _:
            answer = await api.gateway.delete(path, headers=who)
    assert answer.status_code in {202, 404, 409}, answer.text  # not stored yet, or deleted
    return answer.status_code == 202


def state(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without its status, which no frame repeats."""
    return {name: value for name, value in message.items() if name != "status"}


async def test_every_device_has_the_history_whatever_was_cut(api: Api) -> None:
    pick = random.Random(7)
    senders = [await api.sign_in("ana"), await api.sign_in("bruno")]
    devices = [Device(api, who) for who in (*senders, *senders)]
    devices[0].connect()
    sent: list[tuple[int, str]] = []
    done = 0
    for number in range(STEPS):
        device = pick.choice(devices)
        match pick.randrange(9):
            case 0 | 1 | 2:
                author = pick.randrange(2)
                more: dict[str, Any] = {}
                if sent and number % 2:
                    more = {"reply_to": pick.choice(sent[-8:])[1], "mentions": ["ana"]}
                    more |= {"kind": "custom", "payload": {"n": number}}
                text = f"text {number}"
                sent.append((author, await api.send(senders[author], text, **more)))
            case 3:
                device.read()
                device.cut()
            case 4:
                device.connect()
            case 5:
                device.read()
            case _:
                if sent:
                    author, message = pick.choice(sent[-8:])
                    done += await change(api, senders[author], message, number)
        for _ in range(pick.randrange(3)):
            await asyncio.sleep(0)
    await api.routed()
    history = await api.history(senders[0], "?limit=200")
    assert (len(history) > STEPS // 5, done > STEPS // 8) == (True, True)
    end = f"{len(history)}.{done}"
    for device in devices:
        device.connect()

    def all_have_all() -> bool:
        for device in devices:
            device.read()
        return all(device.position == end for device in devices)

    await until(all_have_all)
    assert sum(message["reply_to"] is not None for message in history) > STEPS // 16
    for device in devices:
        assert [state(message) for message in device.has] == [state(one) for one in history]
