"""Rows that an operator has deleted: who lacks them loads the conversation anew (EXACTNESS 20)."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

from chat4all.domain.events import MessageStored
from chat4all.domain.ids import ConversationId
from chat4all.domain.position import Position
from chat4all.gateway.live.next_runs import NextRuns
from tests.api.changing import THUMB, delete, edit, react, sent
from tests.api.conftest import CHAT, Api
from tests.live.sockets import FakeSocket, resumed, until
from tests.messages import message

pytestmark = pytest.mark.anyio


def run(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "data" / "store.db")) as db, db:
        assert db.execute(statement).rowcount == 1


def short(socket: FakeSocket) -> list[tuple[str, str]]:
    frames = socket.of_type("message", "message_changed", "reload")
    return [(frame["type"], frame["position"]) for frame in frames]


async def changed(api: Api, who: dict[str, str]) -> None:
    """Store three messages, and a change of each: the position is 3.3."""
    messages = [await sent(api, who) for _ in range(3)]
    await edit(api, who, messages[0], "edited")
    await react(api, who, messages[1], THUMB)
    await delete(api, who, messages[2])
    await api.routed()


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        # A change: what comes before it is sent.
        (
            "DELETE FROM changes WHERE change = 2",
            [("message_changed", "3.1"), ("reload", "3.3")],
        ),
        # The newest one: nothing is above it.
        (
            "DELETE FROM changes WHERE change = 3",
            [("message_changed", "3.1"), ("message_changed", "3.2"), ("reload", "3.3")],
        ),
        # A message that was changed.
        ("DELETE FROM messages WHERE seq = 1", [("reload", "3.3")]),
    ],
)
async def test_a_resume_below_a_row_that_is_missing_is_a_reload(
    api: Api, tmp_path: Path, lost: str, expected: list[tuple[str, str]]
) -> None:
    ana = await api.sign_in("ana")
    await changed(api, ana)
    run(tmp_path, lost)
    socket = await resumed(api.parts.live, ana, **{CHAT: "3.0"})
    assert short(socket) == expected
    # It goes on from there, and who has everything is told nothing.
    await api.send(ana)
    assert (await socket.heard("message"))["position"] == "4.3"
    other = await resumed(api.parts.live, ana, **{CHAT: "3.3"})
    assert short(other) == [("message", "4.3")]


async def test_a_resume_below_the_newest_message_that_is_missing_is_a_reload(
    api: Api, tmp_path: Path
) -> None:
    ana = await api.sign_in("ana")
    for _ in range(3):
        await api.send(ana)
    await api.routed()
    run(tmp_path, "DELETE FROM messages WHERE seq = 3")
    socket = await resumed(api.parts.live, ana, **{CHAT: "1.0"})
    assert short(socket) == [("message", "2.0"), ("reload", "3.0")]


async def test_who_is_connected_loads_anew_what_is_missing(api: Api, tmp_path: Path) -> None:
    ana = await api.sign_in("ana")
    await api.send(ana)
    await api.routed()
    sockets = [await resumed(api.parts.live, ana, **{CHAT: "1.0"}) for _ in range(2)]
    with patch.object(api.parts.feed, "_listener", None):
        await changed(api, ana)
    run(tmp_path, "DELETE FROM changes WHERE change = 1")
    api.parts.live.hub.lost()
    for socket in sockets:
        await socket.heard("reload")
        assert short(socket)[-1] == ("reload", "4.3")
    await api.send(ana)
    await until(lambda: {short(socket)[-1] for socket in sockets} == {("message", "5.3")})


async def test_what_is_not_stored_yet_is_no_reload(api: Api) -> None:
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana)
    hub, chat = api.parts.live.hub, ConversationId(CHAT)
    for seq in (1, 3):
        hub.announced(CHAT, partial(list, [MessageStored(message(seq, chat))]))
    await until(lambda: hub._work._resting)  # it is tried again a second later
    assert short(socket) in ([], [("message", "1.0")])
    for _ in range(3):
        await api.send(ana)
    await socket.heard("message", 3)
    assert "reload" not in {frame["type"] for frame in socket.frames}


async def test_who_is_told_of_what_was_never_stored_goes_on_with_what_is(api: Api) -> None:
    """A gap that is too wide to be sent is a `reload`, to what is stored and no further."""
    ana = await api.sign_in("ana")
    sockets = [await resumed(api.parts.live, ana) for _ in range(2)]
    await api.send(ana)
    for socket in sockets:
        await socket.heard("message")
    hub, chat = api.parts.live.hub, ConversationId(CHAT)
    hub.announced(CHAT, partial(list, [MessageStored(message(10**6, chat))]))
    await until(lambda: not len(hub._work))
    await api.send(ana)
    for socket in sockets:
        await socket.heard("message", 2)
        assert short(socket) == [("message", "1.0"), ("message", "2.0")]


async def test_what_is_announced_while_the_store_is_asked_is_delivered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana)
    hub, chat = api.parts.live.hub, ConversationId(CHAT)
    followed = hub._followers.get(CHAT)
    assert followed is not None
    head, asked = NextRuns.head, 0

    async def slow(runs: NextRuns, conversation: ConversationId) -> Position:
        nonlocal asked
        stored, asked = await head(runs, conversation), asked + 1
        if asked == 1:
            await api.send(ana)
            await until(lambda: any(one.seq == 1 for one in followed._messages))
        return stored

    monkeypatch.setattr(NextRuns, "head", slow)
    hub.announced(CHAT, partial(list, [MessageStored(message(10**6, chat))]))
    await socket.heard("message")
    assert short(socket) == [("message", "1.0")]
    assert asked == 2  # by the delivery that followed, not by a later comparison with the store
