"""Resume: what counts as missed, what is a reload, and a herd of resumes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.sql import SqlDirectory
from chat4all.domain.events import MessageStored
from chat4all.domain.ids import ConversationId
from chat4all.gateway.live import socket_client
from tests.api.conftest import CHAT, Api, running
from tests.live.sockets import FakeSocket, connect, resumed, until
from tests.messages import batch, message

pytestmark = pytest.mark.anyio

STRANGE = "00000000-0000-0000-0000-00000000abcd"


def count_questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the directory of every process from now on is asked about members."""
    asked: list[str] = []

    def counting(name: str) -> Callable[..., Awaitable[Any]]:
        answer = getattr(SqlDirectory, name)

        async def ask(*arguments: Any) -> Any:
            asked.append(name)
            return await answer(*arguments)

        return ask

    for name in ("members", "members_of"):
        monkeypatch.setattr(SqlDirectory, name, counting(name))
    return asked


async def stored(api: Api, first: int, last: int) -> None:
    chat = ConversationId(CHAT)
    rows = [message(seq, chat, "ana") for seq in range(first, last + 1)]
    await api.parts.store.write(batch(*rows))


def said(socket: FakeSocket) -> list[tuple[Any, ...]]:
    """Return what was said of conversations, in short."""
    return [
        (frame["type"], frame.get("event"), frame.get("position"))
        for frame in socket.of_type("conversation", "reload")
    ]


async def test_what_is_not_in_the_list_is_added_and_what_one_is_not_in_is_removed(api: Api) -> None:
    await stored(api, 1, 3)
    socket = await resumed(api.parts.live, await api.sign_in("ana"), **{STRANGE: "7.0"})
    assert said(socket) == [("conversation", "added", "3.0"), ("conversation", "removed", None)]
    assert socket.of_type("conversation")[1]["conversation_id"] == STRANGE
    assert socket.seqs() == []


async def test_a_thousand_missed_are_sent_and_one_more_is_a_reload(api: Api) -> None:
    await stored(api, 1, 1_001)
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana, **{CHAT: "1.0"})
    assert socket.seqs() == list(range(2, 1_002))
    assert said(socket) == []
    socket = await resumed(api.parts.live, ana, **{CHAT: "0.0"})
    assert (said(socket), socket.seqs()) == ([("reload", None, "1001.0")], [])
    await stored(api, 1_002, 1_002)
    api.parts.live.hub.lost()
    await socket.heard("message")
    assert socket.seqs() == [1_002]


async def test_a_position_beyond_the_head_is_a_reload(api: Api) -> None:
    await stored(api, 1, 3)
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana, **{CHAT: "4.0"})
    assert said(socket) == [("reload", None, "3.0")]
    socket = await resumed(api.parts.live, ana, **{CHAT: "3.0"})
    assert said(socket) == []


async def test_a_resume_asks_for_the_members_of_many_conversations_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a cluster each question is a request, one after another."""
    folder = tmp_path / "data"
    async with running(folder) as api:
        ana = await api.sign_in("ana")
        for _ in range(3):
            new = {"type": "group", "members": ["bruno"]}
            made = await api.gateway.post("/v1/conversations", json=new, headers=ana)
            assert made.status_code == 201
    asked = count_questions(monkeypatch)
    async with running(folder) as api:
        socket = await resumed(api.parts.live, await api.sign_in("ana"))
        assert len(socket.of_type("conversation")) == 4
    assert asked == ["members_of"]


async def test_positions_of_another_generation_are_a_reload(api: Api) -> None:
    await stored(api, 1, 3)
    socket = connect(api.parts.live, await api.sign_in("ana"))
    own = (await socket.heard("hello"))["generation"]
    for generation, expected in (("other", [("reload", None, "3.0")]), (own, [])):
        socket = connect(api.parts.live, await api.sign_in("ana"))
        socket.say(type="resume", positions={CHAT: "3.0"}, generation=generation)
        await socket.heard("resumed")
        assert said(socket) == expected


async def test_positions_may_come_in_several_frames(api: Api) -> None:
    await stored(api, 1, 3)
    socket = connect(api.parts.live, await api.sign_in("ana"))
    socket.say(type="resume", positions={STRANGE: "1.0"}, more=True)
    socket.say(type="resume", positions={CHAT: "2.0"})
    await socket.heard("resumed")
    assert socket.seqs() == [3]
    assert [frame["conversation_id"] for frame in socket.of_type("conversation")] == [STRANGE]


async def test_a_generation_counts_whichever_frame_says_it(api: Api) -> None:
    await stored(api, 1, 3)
    socket = connect(api.parts.live, await api.sign_in("ana"))
    socket.say(type="resume", positions={CHAT: "3.0"}, generation="other", more=True)
    socket.say(type="resume", positions={})
    await socket.heard("resumed")
    assert said(socket) == [("reload", None, "3.0")]


async def test_who_missed_very_much_while_connected_is_told_to_reload(api: Api) -> None:
    """A feed that was away for long: what lies between is not pushed at a socket."""
    ana = await resumed(api.parts.live, await api.sign_in("ana"))
    await stored(api, 1, 1_500)
    api.parts.live.hub.lost()
    reload = await ana.heard("reload")
    assert (reload["position"], ana.seqs()) == ("1500.0", [])


async def test_a_client_that_reads_slowly_holds_nobody_up_and_misses_nothing(api: Api) -> None:
    await stored(api, 1, 300)
    slow = connect(api.parts.live, await api.sign_in("ana"))
    slow.paused = asyncio.Event()
    slow.say(type="resume", positions={CHAT: "0.0"})
    quick = await resumed(api.parts.live, await api.sign_in("bruno"), **{CHAT: "290.0"})
    await stored(api, 301, 301)
    event = MessageStored(message(301, ConversationId(CHAT), "ana"))
    api.parts.live.hub.announced(CHAT, lambda: [event])
    await quick.heard("message", 11)
    assert slow.seqs() == []
    slow.paused.set()
    await slow.heard("resumed")
    assert slow.seqs() == list(range(1, 302))


async def test_a_herd_is_queued_and_what_is_too_much_is_told_when_to_come_back(api: Api) -> None:
    resuming = api.parts.live._parts.resuming
    resuming._most, resuming._work._at_once = 20, 4
    resuming._most_of_user = 50
    await stored(api, 1, 50)
    ana = await api.sign_in("ana")
    herd = [connect(api.parts.live, ana) for _ in range(50)]
    for socket in herd:
        await socket.heard("hello")
        socket.paused = asyncio.Event()  # so that none is done before all have come
    for socket in herd:
        socket.say(type="resume", positions={CHAT: "0.0"})
    await until(lambda: sum(socket.code == 1013 for socket in herd) == 30)
    assert len(resuming._work) == 20
    for socket in herd:
        assert socket.paused is not None
        socket.paused.set()
        if socket.is_open:
            await socket.heard("resumed")
            assert socket.seqs() == list(range(1, 51))
        else:
            assert socket.of_type("error")[0]["retry_after"] == 5
    again = await resumed(api.parts.live, ana, **{CHAT: "0.0"})
    assert len(again.seqs()) == 50


async def test_a_socket_that_goes_ends_its_resume(api: Api) -> None:
    resuming = api.parts.live._parts.resuming
    await stored(api, 1, 50)
    socket = connect(api.parts.live, await api.sign_in("ana"))
    socket.paused = asyncio.Event()
    socket.say(type="resume")
    await until(lambda: len(resuming._work) == 1)
    socket.close(1001)
    await until(lambda: len(resuming._work) == 0)
    assert resuming._asked == {}
    assert api.parts.live.hub._followers.conversations() == []
    assert api.parts.live._clients == set()


async def test_who_is_removed_while_a_replay_waits_for_room_is_sent_no_more_of_it(api: Api) -> None:
    ana = await api.sign_in("ana")
    carla = await api.sign_up("carla")
    made = await api.gateway.post(
        "/v1/conversations",
        json={"type": "group", "title": "G", "members": ["carla"]},
        headers=ana,
    )
    chat = made.json()["conversation_id"]
    await api.send(ana, "before", chat_id=chat)
    await api.routed()
    socket = connect(api.parts.live, carla)
    await socket.heard("hello")
    socket.paused = asyncio.Event()
    waits = asyncio.Event()
    room = socket.room

    async def noted() -> None:
        waits.set()
        await room()

    socket.room = noted  # type: ignore[method-assign]
    socket.say(type="resume", positions={chat: "0.0"})
    await asyncio.wait_for(waits.wait(), 10)
    path = f"/v1/conversations/{chat}/members/carla"
    assert (await api.gateway.delete(path, headers=ana)).status_code == 204
    socket.paused.set()
    await socket.heard("resumed")
    assert socket.seqs() == []
    assert [frame["event"] for frame in socket.of_type("conversation")] == ["removed"]


async def test_one_user_resumes_few_connections_at_once(api: Api) -> None:
    await stored(api, 1, 1)
    ana = await api.sign_in("ana")
    herd = [connect(api.parts.live, ana) for _ in range(9)]
    for socket in herd:
        await socket.heard("hello")
        socket.paused = asyncio.Event()
        socket.say(type="resume", positions={CHAT: "0.0"})
    # Which of them comes last is not said: what each says is read in a task of its own.
    await until(lambda: any(socket.code == 1013 for socket in herd))
    let_in = [socket for socket in herd if socket.is_open]
    assert len(let_in) == 8
    other = await resumed(api.parts.live, await api.sign_in("bruno"), **{CHAT: "0.0"})
    assert other.seqs() == [1]
    for socket in let_in:
        assert socket.paused is not None
        socket.paused.set()
        await socket.heard("resumed")
    await resumed(api.parts.live, ana)


async def test_positions_that_are_none_are_refused(api: Api) -> None:
    socket = connect(api.parts.live, await api.sign_in("ana"))
    for count, positions in enumerate(({CHAT: "12"}, {"a chat": "12.0"}), 1):
        socket.say(type="resume", positions=positions)
        assert (await socket.heard("error", count))["problem"] == "/problems/invalid-input"
    socket.say(type="resume")
    await socket.heard("resumed")


async def test_a_resume_whose_last_frame_does_not_come_keeps_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = connect(api.parts.live, await api.sign_in("ana"))
    client = socket.client
    assert client is not None
    socket.say(type="resume", positions={STRANGE: "1.0"}, more=True)
    await until(lambda: client._positions)
    await api.parts.live.check()
    assert socket.is_open
    monkeypatch.setattr(socket_client, "POSITIONS_SECONDS", 0.0)
    await api.parts.live.check()
    assert (socket.code, client._positions) == (4408, {})


async def test_a_second_resume_in_several_frames_keeps_nothing(api: Api) -> None:
    socket = await resumed(api.parts.live, await api.sign_in("ana"))
    socket.say(type="resume", positions={STRANGE: "1.0"}, more=True)
    assert (await socket.heard("error"))["problem"] == "/problems/conflict"
    assert socket.client is not None
    assert socket.client._positions == {}
