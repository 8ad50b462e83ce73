"""What is said over a socket, on the whole one-machine system."""

import asyncio
import json
from typing import Any

import pytest

from tests.api.conftest import CHAT, Api, api
from tests.live.sockets import FakeSocket, connect, resumed, until

__all__ = ["api"]  # a fixture

pytestmark = pytest.mark.anyio


async def test_a_message_reaches_everybody_once_it_is_stored_as_the_history_has_it(
    api: Api,
) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    sockets = [await resumed(api.parts.live, who) for who in (ana, bruno, bruno)]
    await api.send(ana, "Olá! 🎉")
    for socket in sockets:
        frame = await socket.heard("message")
        assert frame["position"] == "1.0"
        assert [frame["message"]] == await api.history(bruno)


async def test_hello_says_who_one_is_and_what_is_allowed(api: Api) -> None:
    socket = connect(api.parts.live, await api.sign_in("ana"))
    hello = await socket.heard("hello")
    assert (hello["username"], hello["heartbeat_s"]) == ("ana", 25)
    assert (hello["frame_max"], hello["resume_max"]) == (65_536, 1_000)
    assert {"session_id", "generation", "server_time"} <= hello.keys()


async def test_resume_sends_what_was_missed_then_what_is_live(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    for number in range(1, 6):
        await api.send(ana, f"text {number}")
    await api.routed()
    socket = await resumed(api.parts.live, bruno, **{CHAT: "2.0"})
    assert socket.seqs() == [3, 4, 5]
    assert [f["message"] for f in socket.of_type("message")] == (await api.history(bruno))[2:]
    assert socket.frames[-1]["type"] == "resumed"
    await api.send(ana, "text 6")
    await socket.heard("message", 4)
    assert socket.seqs() == [3, 4, 5, 6]
