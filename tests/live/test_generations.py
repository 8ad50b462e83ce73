"""A store of another generation under open connections: all begin anew (EXACTNESS 20h)."""

import asyncio
from pathlib import Path

import pytest

from chat4all.adapters.embedded.folder import FolderGeneration
from chat4all.domain.events import MessageStored
from chat4all.domain.ids import ConversationId
from tests.api.conftest import CHAT, Api
from tests.live.sockets import FakeSocket, connect, resumed, until
from tests.live.test_missing_rows import run
from tests.messages import batch, message

pytestmark = pytest.mark.anyio


class Lingering(FakeSocket):
    """A socket whose client answers no close frame: the connection lasts a while longer."""

    def close(self, code: int, reason: str = "") -> None:
        self.code = self.code or code


async def another_generation(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.parts.live.check()

    async def restored(_: FolderGeneration) -> str:
        return "restored"

    monkeypatch.setattr(FolderGeneration, "current", restored)
    await api.parts.live.check()


async def test_sockets_are_closed_and_resume_what_there_is_now(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when anything that was known of the numbers before stays: nobody would resume."""
    live, chat = api.parts.live, ConversationId(CHAT)
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    open_sockets = [await resumed(live, who) for who in (ana, bruno)]
    for socket in open_sockets:
        socket.__class__ = Lingering
    generation = (await open_sockets[0].heard("hello"))["generation"]
    live.hub.announced(CHAT, lambda: [MessageStored(message(9, chat))])
    await until(lambda: live.hub.head(chat).seq == 9)
    version = live.hub._versions.current(chat, {})
    await api.parts.store.write(batch(*(message(seq, chat) for seq in (1, 2, 3))))
    await another_generation(api, monkeypatch)
    assert [socket.code for socket in open_sockets] == [1012, 1012]
    assert not live.hub._versions.is_current(chat, version)
    socket = connect(live, ana)
    assert (await socket.heard("hello"))["generation"] == "restored"
    socket.say(type="resume", positions={CHAT: "2.0"}, generation=generation)
    await socket.heard("resumed")
    (reload,) = socket.of_type("reload")
    assert reload["position"] == "3.0"
    await live.check()
    assert socket.is_open


async def test_a_resume_that_is_under_way_ends_too(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = api.parts.live
    ana = await api.sign_in("ana")
    await api.parts.store.write(batch(message(1, ConversationId(CHAT))))
    socket = connect(live, ana)
    await socket.heard("hello")
    socket.paused = asyncio.Event()
    socket.say(type="resume", positions={CHAT: "0.0"})
    await until(live.hub._followers.conversations)
    await another_generation(api, monkeypatch)
    assert socket.code == 1012
    await until(lambda: len(live._parts.resuming._work) == 0)
    assert live.hub._followers.conversations() == []


async def test_what_was_received_of_the_generation_before_moves_no_marker(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a marker from before is beyond what there is now: later messages are delivered."""
    live, chat = api.parts.live, ConversationId(CHAT)
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    await api.parts.store.write(batch(*(message(seq, chat) for seq in (1, 2, 3))))
    await api.history(ana)
    device = await resumed(live, bruno, **{CHAT: "1.0"})
    await device.heard("message", 2)
    device.__class__ = Lingering
    end = await api.parts.log.end()
    await another_generation(api, monkeypatch)
    await live._received.look()
    assert await api.parts.log.end() == end


async def test_what_was_read_of_the_generation_before_is_read_again(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fails when a marker counts as stored that is gone: reading would be accepted and lost."""
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    await api.send(ana)
    await api.routed()
    path = f"/v1/conversations/{CHAT}/read"

    async def appended() -> int:
        before = await api.parts.log.end()
        answer = await api.gateway.post(path, json={"seq": 1}, headers=bruno)
        assert answer.status_code == 202
        return await api.parts.log.end() - before

    assert [await appended(), await appended()] == [1, 0]
    await api.routed()
    run(
        tmp_path,
        f"DELETE FROM read_markers WHERE username = 'bruno' AND conversation_id = '{CHAT}'",
    )
    await another_generation(api, monkeypatch)
    assert await appended() == 1
