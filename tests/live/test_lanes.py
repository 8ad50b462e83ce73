"""A reply that waits for what it answers holds up its own conversation, and no other."""

import asyncio
import uuid
from functools import partial
from typing import Any

import pytest

from chat4all.gateway.live import socket_client
from chat4all.gateway.live.live import Live
from chat4all.gateway.live.socket_client import FRAMES_MAX
from tests.api.conftest import CHAT, Api
from tests.live.sockets import FakeSocket, resumed, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def stored(api: Api, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """What is answered is found once this is set."""
    sending, event = api.parts.live._parts.sending, asyncio.Event()

    async def seq_of(*_: Any) -> int:
        await event.wait()
        return 1

    monkeypatch.setattr(sending, "_seq_of", seq_of)
    return event


async def a_group(api: Api, who: dict[str, str]) -> str:
    body = {"type": "group", "members": ["ana"]}
    answer = await api.metadata.post("/v1/conversations", json=body, headers=who)
    return str(answer.json()["conversation_id"])


def doing(live: Live, lanes: int) -> bool:
    return (len(live._work), len(live._lane_work)) == (0, lanes)


def answered(socket: FakeSocket) -> list[str]:
    return [frame["ref"] for frame in socket.of_type("accepted", "error")]


async def test_other_conversations_go_on_and_its_own_keeps_its_order(
    api: Api, stored: asyncio.Event
) -> None:
    bruno = await api.sign_in("bruno")
    other, first = await a_group(api, bruno), await api.send(bruno, "first")
    await api.routed()
    socket = await resumed(api.parts.live, bruno)
    socket.say(type="send", ref="1", chat_id=CHAT, content="reply", reply_to=first)
    socket.say(type="send", ref="2", chat_id=CHAT.upper(), content="after")
    socket.say(type="react", ref="3", conversation_id=CHAT, message_id=first, emoji="none")
    socket.say(type="send", ref="4", chat_id=other, content="elsewhere")
    socket.say(type="send", ref="5", chat_id=5, content="nowhere")
    await until(lambda: len(answered(socket)) == 2)
    assert answered(socket) == ["4", "5"]
    stored.set()
    await until(lambda: len(answered(socket)) == 5)
    assert answered(socket)[2:] == ["1", "2", "3"]
    await api.routed()
    assert [one["content"] for one in await api.history(bruno)] == ["first", "reply", "after"]
    # And so again, once it has come to an end.
    socket.say(type="send", ref="6", chat_id=CHAT, content="the last one")
    await socket.heard("accepted", 4)
    assert len(api.parts.live._lane_work) == 0


async def test_what_waits_is_bounded_and_ends_with_the_socket(
    api: Api, stored: asyncio.Event
) -> None:
    bruno = await api.sign_in("bruno")
    first = await api.send(bruno)
    await api.routed()
    live = api.parts.live
    socket = await resumed(live, bruno)
    reply = {"type": "send", "chat_id": CHAT, "content": "x", "reply_to": first}
    socket.say(**reply)
    await until(partial(doing, live, 1))
    for _ in range(FRAMES_MAX - 1):
        socket.say(**reply)
    await until(lambda: len(live._work) == 0)
    assert socket.is_open
    socket.say(type="typing", conversation_id=CHAT)
    assert socket.code == 4429
    await until(lambda: len(live._lane_work) == 0)
    assert not stored.is_set()
    await api.routed()
    assert len(await api.history(bruno)) == 1


async def test_replies_in_many_conversations_are_bounded_together(
    api: Api, stored: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when what is being done in each lane does not count: there may be any number."""
    monkeypatch.setattr(socket_client, "FRAMES_MAX", 3)
    bruno = await api.sign_in("bruno")
    live = api.parts.live
    socket = await resumed(live, bruno)
    for number in range(1, 4):
        chat = await a_group(api, bruno)
        socket.say(type="send", chat_id=chat, content="x", reply_to=str(uuid.uuid4()))
        await until(partial(doing, live, number))
    socket.say(type="typing", conversation_id=CHAT)
    assert socket.code == 4429
    await until(lambda: len(live._lane_work) == 0)
    assert not stored.is_set()
