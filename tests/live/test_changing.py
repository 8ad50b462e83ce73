"""Edits, deletions and reactions over sockets, on the whole one-machine system."""

import asyncio
import uuid
from typing import Any
from unittest.mock import patch

import pytest

from chat4all.domain.changes import EMOJIS
from chat4all.domain.errors import OutcomeUnknown, TooMany
from chat4all.domain.events import MessageChanged, MessageStored
from chat4all.domain.ids import ConversationId
from tests.api.changing import HEART, PATH, THUMB, delete, edit, react, sent
from tests.api.conftest import CHAT, Api
from tests.live.sockets import FakeSocket, connect, resumed, until

pytestmark = pytest.mark.anyio


async def test_a_change_reaches_everybody_as_the_history_has_it(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    sockets = [await resumed(api.parts.live, who) for who in (ana, bruno, bruno)]
    message = await sent(api, ana, "first")
    for socket in sockets:
        await socket.heard("message")

    async def all_hear(count: int) -> None:
        for socket in sockets:
            frame = await socket.heard("message_changed", count)
            assert frame["position"] == f"1.{count}"
            assert [frame["message"]] == await api.history(bruno)

    await edit(api, ana, message, "second")
    await all_hear(1)
    await react(api, bruno, message, THUMB)
    await all_hear(2)
    await react(api, ana, message, HEART)
    await all_hear(3)
    await react(api, ana, message, HEART, "DELETE")
    await all_hear(4)
    await delete(api, ana, message)
    await all_hear(5)
    last = sockets[0].of_type("message_changed")[-1]["message"]
    assert (last["content"], last["reactions"]) == ("", [])
    await sent(api, ana)
    for socket in sockets:
        assert (await socket.heard("message", 2))["position"] == "2.5"
        assert len(socket.of_type("message_changed")) == 5


async def test_a_changed_reply_is_told_with_what_it_answers_as_that_is_now(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    socket = await resumed(api.parts.live, bruno)
    first = await sent(api, ana, "first")
    reply = await api.send(bruno, "reply", reply_to=first)
    await api.routed()
    await edit(api, ana, first, "second")
    await react(api, bruno, reply, THUMB)
    frame = await socket.heard("message_changed", 2)
    assert frame["message"] == (await api.history(bruno))[1]
    assert frame["message"]["reply_to"]["content"] == "second"
    await delete(api, ana, first)
    await react(api, ana, reply, THUMB)
    frame = await socket.heard("message_changed", 4)
    assert frame["message"] == (await api.history(bruno))[1]
    assert frame["message"]["reply_to"]["content"] == ""


def told(socket: FakeSocket) -> list[tuple[str, str]]:
    """Return what was shown, in short."""
    frames = socket.of_type("message", "message_changed", "reload")
    return [(frame["type"].removeprefix("message_"), frame["position"]) for frame in frames]


async def waits_with(socket: FakeSocket, count: int) -> None:
    """Return once a socket that has so many messages of a replay waits for room."""
    room, waits = socket.room, asyncio.Event()

    async def noted() -> None:
        if len(socket.seqs()) == count:
            socket.paused = socket.paused or asyncio.Event()
            waits.set()
        await room()

    socket.room = noted  # type: ignore[method-assign]
    await asyncio.wait_for(waits.wait(), 10)


async def test_a_resume_sends_messages_then_changes_as_they_are_now(api: Api) -> None:
    ana = await api.sign_in("ana")
    first, second = await sent(api, ana, "one"), await sent(api, ana, "two")
    await edit(api, ana, first, "one, edited")
    third = await sent(api, ana, "three")
    await edit(api, ana, third, "three, edited")
    await edit(api, ana, second, "two, edited")
    await delete(api, ana, first)
    history = await api.history(ana)
    socket = await resumed(api.parts.live, ana, **{CHAT: "2.0"})
    assert told(socket) == [("message", "3.0"), *(("changed", f"3.{n}") for n in (1, 2, 3, 4))]
    shown = [frame["message"] for frame in socket.of_type("message", "message_changed")]
    assert shown == [history[seq - 1] for seq in (3, 1, 3, 2, 1)]
    assert shown[1]["content"] == ""  # not its edit: it is deleted by now
    socket = await resumed(api.parts.live, ana, **{CHAT: "3.3"})
    assert told(socket) == [("changed", "3.4")]
    socket = await resumed(api.parts.live, ana, **{CHAT: "3.4"})
    assert told(socket) == []
    await react(api, ana, second, HEART)
    await socket.heard("message_changed")
    assert told(socket) == [("changed", "3.5")]


async def test_several_changes_in_a_row_of_one_message_are_one_frame(api: Api) -> None:
    ana = await api.sign_in("ana")
    message = await sent(api, ana)
    for emoji in EMOJIS[:5]:
        await react(api, ana, message, emoji)
    socket = await resumed(api.parts.live, ana, **{CHAT: "1.2"})
    assert told(socket) == [("changed", "1.5")]
    assert [socket.of_type("message_changed")[0]["message"]] == await api.history(ana)


async def test_messages_and_changes_that_were_missed_count_together(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat4all.gateway.live.resuming.RESUME_MAX", 3)
    monkeypatch.setattr("chat4all.gateway.live.delivering.RESUME_MAX", 3)
    ana = await api.sign_in("ana")
    live = await resumed(api.parts.live, ana)
    with patch.object(api.parts.live.hub, "announced"):
        first, _ = await sent(api, ana), await sent(api, ana)
        await react(api, ana, first, THUMB)
        await react(api, ana, first, HEART)
    for at, expected in {
        "1.0": [("message", "2.0"), ("changed", "2.2")],
        "0.0": [("reload", "2.2")],
        "2.3": [("reload", "2.2")],  # which was never there
        "3.0": [("reload", "2.2")],
    }.items():
        assert told(await resumed(api.parts.live, ana, **{CHAT: at})) == expected
    api.parts.live.hub.lost()
    await live.heard("reload")
    assert told(live) == [("reload", "2.2")]


async def test_a_lost_announcement_of_a_change_is_found_in_the_store(api: Api) -> None:
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana)
    message = await sent(api, ana)
    await socket.heard("message")
    with patch.object(api.parts.live.hub, "announced"):
        await react(api, ana, message, THUMB)
    await edit(api, ana, message, "two")
    await socket.heard("message_changed")
    assert told(socket) == [("message", "1.0"), ("changed", "1.2")]
    assert (await api.history(ana))[0]["content"] == "two"  # which keeps the page
    with patch.object(api.parts.live.hub, "announced"):
        await delete(api, ana, message)
    for _ in range(30):
        await api.parts.live.hub.compare()
    await socket.heard("message_changed", 2)
    assert told(socket)[2:] == [("changed", "1.3")]
    assert (await api.history(ana))[0]["content"] == ""


async def test_a_change_whose_message_was_not_announced_comes_after_it(api: Api) -> None:
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana)
    with patch.object(api.parts.live.hub, "announced"):
        message = await sent(api, ana)
        await edit(api, ana, message, "two")
    chat = ConversationId(CHAT)
    api.parts.live.hub.announced(CHAT, lambda: [MessageChanged(chat, 1, 1)])
    await socket.heard("message_changed")
    assert told(socket) == [("message", "1.0"), ("changed", "1.1")]


async def test_what_is_announced_again_brings_no_deleted_text_back(api: Api) -> None:
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana)
    heard: list[Any] = []
    announced = api.parts.live.hub.announced

    def keeping(key: str, decode: Any) -> None:
        heard.extend(decode())
        announced(key, decode)

    with patch.object(api.parts.live.hub, "announced", keeping):
        message = await sent(api, ana, "a secret")
        await socket.heard("message")
        await delete(api, ana, message)
    await socket.heard("message_changed")
    again = [one for one in heard if isinstance(one, MessageStored | MessageChanged)]
    assert len(again) == 2
    announced(CHAT, lambda: again)
    late = await resumed(api.parts.live, ana, **{CHAT: "0.0"})
    announced(CHAT, lambda: again)
    await sent(api, ana, "after")
    for one, texts in ((socket, ["a secret", "", "after"]), (late, ["", "", "after"])):
        await one.heard("message", 2)
        shown = [frame["message"]["content"] for frame in one.of_type("message", "message_changed")]
        assert shown == texts


async def test_what_is_deleted_before_it_is_delivered_is_not_shown(api: Api) -> None:
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana)
    heard: list[Any] = []
    hub = api.parts.live.hub
    with patch.object(hub, "announced", lambda _, decode: heard.extend(decode())):
        message = await sent(api, ana, "a secret")
        await delete(api, ana, message)
    hub.announced(CHAT, lambda: heard)
    await socket.heard("message_changed")
    assert told(socket) == [("message", "1.0"), ("changed", "1.1")]
    assert "a secret" not in str(socket.frames)


async def test_all_sockets_share_one_read_of_a_change(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    sockets = [await resumed(api.parts.live, who) for who in (ana, bruno, ana, bruno)]
    message = await sent(api, ana)
    for socket in sockets:
        await socket.heard("message")
    reading = api.parts.live._parts.resuming._runs._reading
    reads: list[Any] = []
    with_numbers = reading._history.with_numbers

    async def counted(conversation: ConversationId, numbers: Any) -> Any:
        reads.append(numbers)
        return await with_numbers(conversation, numbers)

    with patch.object(reading._history, "with_numbers", counted):
        await edit(api, ana, message, "two")
        for socket in sockets:
            await socket.heard("message_changed")
    assert reads == [[1]]


async def test_changes_over_a_socket_are_those_of_the_routes(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    socket, other = [await resumed(api.parts.live, who) for who in (ana, bruno)]
    message, own = await sent(api, ana, "one"), str(uuid.uuid4())
    of = {"conversation_id": CHAT, "message_id": message}

    async def accepted(count: int, **frame: Any) -> Any:
        socket.say(ref=str(count), **of, **frame)
        answer = await socket.heard("accepted", count)
        assert answer.keys() == {"type", "ref", "change_id"}
        assert answer["ref"] == str(count)
        await other.heard("message_changed", count)
        (shown,) = await api.history(bruno)
        assert other.of_type("message_changed")[-1]["message"] == shown
        return answer["change_id"], shown

    made, shown = await accepted(1, type="edit", content="two", change_id=own, seq=1)
    assert (made, shown["content"]) == (own, "two")
    _, shown = await accepted(2, type="react", emoji=THUMB)
    assert [one["names"] for one in shown["reactions"]] == [["ana"]]
    _, shown = await accepted(3, type="unreact", emoji=THUMB)
    assert shown["reactions"] == []
    # The same id again is the same change.
    socket.say(type="edit", ref="again", content="two", change_id=own, **of)
    assert (await socket.heard("accepted", 4))["change_id"] == own
    await api.routed()
    assert (await api.history(bruno))[0]["content"] == "two"
    socket.say(type="delete", ref="5", **of)
    await socket.heard("accepted", 5)
    await api.routed()
    assert (await api.history(bruno))[0]["content"] == ""


async def test_changes_that_are_refused_are_answered_as_the_routes_do(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    message = await sent(api, bruno)
    of = {"conversation_id": CHAT, "message_id": message}
    nowhere = of | {"conversation_id": CHAT.replace("5", "6")}
    socket = await resumed(api.parts.live, ana)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"type": "edit", "content": "x", **of}, "not-allowed"),
        ({"type": "delete", **of}, "not-allowed"),
        ({"type": "edit", "content": "", **of}, "invalid-input"),
        ({"type": "edit", **of}, "invalid-input"),
        ({"type": "react", "emoji": "x", **of}, "invalid-input"),
        ({"type": "unreact", **of}, "invalid-input"),
        ({"type": "delete", "conversation_id": CHAT}, "invalid-input"),
        ({"type": "delete", **of, "change_id": "mine"}, "invalid-input"),
        ({"type": "delete", **of, "seq": 0}, "invalid-input"),
        ({"type": "react", "emoji": THUMB, **of, "seq": 2}, "not-found"),
        ({"type": "react", "emoji": THUMB, **nowhere}, "not-found"),
        ({"type": "delete", **of, "message_id": str(uuid.uuid4())}, "not-found"),
    ]
    for count, (frame, problem) in enumerate(refused, 1):
        socket.say(ref=str(count), **frame)
        error = await socket.heard("error", count)
        assert (error["problem"], error["ref"]) == (f"/problems/{problem}", str(count)), frame
    assert (await api.gateway.get(PATH, headers=ana)).headers["chat4all-position"] == "1.0"


async def test_changes_count_against_the_same_limit_as_by_the_routes(api: Api) -> None:
    ana = await api.sign_in("ana")
    message = await sent(api, ana)
    socket = await resumed(api.parts.live, ana)
    limit = api.parts.live._parts.limits.send
    with patch.object(limit, "_take", side_effect=TooMany("too many requests", 3.0)):
        answer = await api.gateway.delete(f"{PATH}/{message}", headers=ana)
        assert answer.status_code == 429
        for count, kind in enumerate(("edit", "delete", "react", "unreact"), 1):
            socket.say(
                type=kind, conversation_id=CHAT, message_id=message, content="x", emoji=THUMB
            )
            assert (await socket.heard("error", count))["retry_after"] == 3
    assert (await api.history(ana))[0]["deleted_at"] is None


async def test_an_unknown_outcome_of_a_change_names_the_id_to_retry_with(api: Api) -> None:
    ana = await api.sign_in("ana")
    message, own = await sent(api, ana), str(uuid.uuid4())
    socket = await resumed(api.parts.live, ana)
    changing = api.parts.live._parts.changing
    with patch.object(changing._log, "append", side_effect=OutcomeUnknown("the log")):
        socket.say(
            type="react",
            ref="x",
            emoji=THUMB,
            conversation_id=CHAT,
            message_id=message,
            change_id=own,
        )
        error = await socket.heard("error")
    assert (error["problem"], error["change_id"]) == ("/problems/outcome-unknown", own)
    assert "`change_id`" in error["detail"]


async def test_what_is_deleted_while_a_replay_waits_for_room_is_not_sent(api: Api) -> None:
    ana = await api.sign_in("ana")
    first, second = await sent(api, ana, "x" * 9_000), await sent(api, ana, "a secret")
    socket = connect(api.parts.live, ana)
    await socket.heard("hello")
    socket.say(type="resume", positions={CHAT: "0.0"})
    with patch("chat4all.gateway.live.runs.PIECE_MAX", 1):  # a frame at a time
        await waits_with(socket, 1)
        await delete(api, ana, second)
        await edit(api, ana, first, "two")
        assert socket.paused is not None
        socket.paused.set()
        await socket.heard("resumed")
    messages, changes = (
        [("message", "1.0"), ("message", "2.0")],
        [("changed", "2.1"), ("changed", "2.2")],
    )
    assert told(socket) == messages + changes
    assert "a secret" not in str(socket.frames)


async def test_who_is_removed_is_not_told_of_changes(api: Api) -> None:
    ana, carla = await api.sign_in("ana"), await api.sign_up("carla")
    body = {"type": "group", "title": "G", "members": ["carla"]}
    made = await api.gateway.post("/v1/conversations", json=body, headers=ana)
    chat = made.json()["conversation_id"]
    message = await api.send(ana, "before", chat_id=chat)
    await api.routed()
    path = f"/v1/conversations/{chat}"
    live, slow = [await resumed(api.parts.live, carla)], connect(api.parts.live, carla)
    await slow.heard("hello")
    slow.paused = asyncio.Event()
    await api.gateway.patch(f"{path}/messages/{message}", json={"content": "a secret"}, headers=ana)
    await api.routed()
    await live[0].heard("message_changed")
    slow.say(type="resume", positions={chat: "1.0"})
    await until(lambda: len(api.parts.live._parts.resuming._work) == 1)
    assert (await api.gateway.delete(f"{path}/members/carla", headers=ana)).status_code == 204
    await api.gateway.patch(f"{path}/messages/{message}", json={"content": "more"}, headers=ana)
    await api.routed()
    slow.paused.set()
    await slow.heard("resumed")
    await live[0].heard("conversation", 2)
    assert told(slow) == []
    assert told(live[0]) == [("changed", "1.1")]
