"""What is said over a socket, on the whole one-machine system."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import jwt
import pytest

from chat4all.adapters.sql import SqlSessions
from chat4all.domain.errors import Unavailable
from chat4all.domain.events import MessageStored
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Session
from chat4all.gateway.live import socket_client
from chat4all.gateway.live.hub import COMPARED_IN
from chat4all.ports.outbox import Subject
from chat4all.wire.events import decode_events
from tests.api.conftest import CHAT, Api, running
from tests.live.sockets import connect, resumed, until
from tests.messages import batch, message

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
    assert [frame["type"] for frame in socket.frames[4:5]] == ["resumed"]  # after `hello`
    await api.send(ana, "text 6")
    await socket.heard("message", 4)
    assert socket.seqs() == [3, 4, 5, 6]


async def test_what_is_sent_over_a_socket_is_accepted_as_by_http(api: Api) -> None:
    socket = await resumed(api.parts.live, await api.sign_in("ana"))
    socket.say(type="send", ref="a", chat_id=CHAT, content="one")
    socket.say(type="send", ref="b", conversation_id=CHAT, content="two")
    accepted = [await socket.heard("accepted", count) for count in (1, 2)]
    assert [one["ref"] for one in accepted] == ["a", "b"]
    await socket.heard("message", 2)
    sent = [frame["message"] for frame in socket.of_type("message")]
    assert [one["message_id"] for one in sent] == [one["message_id"] for one in accepted]
    assert [one["content"] for one in sent] == ["one", "two"]


ELSEWHERE = CHAT.replace("5", "6")
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "send", "ref": "x", "chat_id": CHAT, "content": ""}, "invalid-input"),
    ({"type": "send", "ref": "x", "chat_id": CHAT}, "invalid-input"),
    ({"type": "send", "ref": "x", "chat_id": ELSEWHERE, "content": "y"}, "not-found"),
    ({"type": "read", "conversation_id": CHAT, "seq": 99}, "invalid-input"),
    ({"type": "read", "conversation_id": CHAT, "seq": -1}, "invalid-input"),
    ({"type": "read", "conversation_id": ELSEWHERE, "seq": 1}, "not-found"),
    ({"type": "dance", "ref": "x"}, "invalid-input"),
    ({"type": "resume"}, "conflict"),
    ({"type": "resume", "positions": {CHAT: "12.0"}, "more": True}, "conflict"),
    ({"type": "resume", "positions": {"a chat": "12"}}, "conflict"),
]


async def test_what_is_refused_is_answered_and_the_socket_stays(api: Api) -> None:
    socket = await resumed(api.parts.live, await api.sign_in("ana"))
    for count, (frame, problem) in enumerate(REFUSED, 1):
        socket.say(**frame)
        error = await socket.heard("error", count)
        assert error["problem"] == f"/problems/{problem}", frame
        assert error.get("ref") == frame.get("ref")
    socket.say(type="send", ref="after", chat_id=CHAT, content="still here")
    assert (await socket.heard("accepted"))["ref"] == "after"


NOT_UNDERSTOOD = [
    b"{",
    b"[]",
    b"7",
    b'{"type": 1}',
    b'{"ref": "x"}',
    b'{"type": "send", "ref": 7}',
    b"[" * 1_000,
    b'{"type": "send", "x": ' + b"[" * 65 + b"]" * 65 + b"}",
    b'{"type": "\\ud8"}',
]


async def test_what_cannot_be_understood_closes_the_socket(api: Api) -> None:
    ana = await api.sign_in("ana")
    for raw in NOT_UNDERSTOOD:
        socket = connect(api.parts.live, ana)
        await socket.heard("hello")
        assert socket.client is not None
        socket.client.received(raw)
        await until(partial(getattr, socket, "code"))
        assert socket.code == 4400, raw


async def test_a_flood_of_frames_closes_the_socket_and_says_when_to_come_back(api: Api) -> None:
    socket = await resumed(api.parts.live, await api.sign_in("ana"))
    for _ in range(300):
        socket.say(type="read", conversation_id=CHAT, seq=0)
    assert socket.code == 4429
    assert socket.of_type("error")[-1]["retry_after"] == 1


async def test_a_token_may_come_in_the_first_frame_and_be_renewed(api: Api) -> None:
    ana = await api.sign_in("ana")
    token = ana["Authorization"].removeprefix("Bearer ")
    socket = connect(api.parts.live, None)
    socket.say(type="auth", token=token)
    first = await socket.heard("hello")
    again = (await api.sign_in("ana"))["Authorization"].removeprefix("Bearer ")
    socket.say(type="auth", token=again)
    second = await socket.heard("hello", 2)
    assert first["session_id"] != second["session_id"]
    # The first session ends; the socket is the second one's.
    await api.gateway.post("/v1/logout", headers=ana)
    await api.parts.follower.poll()
    socket.say(type="resume")
    await socket.heard("resumed")


async def test_without_a_good_token_nothing_is_done(api: Api) -> None:
    for first in ({"type": "resume"}, {"type": "auth", "token": "bad"}):
        socket = connect(api.parts.live, None)
        socket.say(**first)
        await socket.heard("error")
        assert socket.code == 4401
        assert [frame["problem"] for frame in socket.frames] == ["/problems/not-signed-in"]


async def test_the_token_of_another_user_does_not_renew(api: Api) -> None:
    socket = await resumed(api.parts.live, await api.sign_in("ana"))
    other = (await api.sign_in("bruno"))["Authorization"].removeprefix("Bearer ")
    socket.say(type="auth", token=other)
    await until(lambda: socket.code == 4401)


async def test_a_socket_ends_with_its_session_or_its_token(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    one, other = [await resumed(api.parts.live, who) for who in (ana, bruno)]
    await api.gateway.post("/v1/logout", headers=ana)
    await api.parts.follower.poll()
    await until(lambda: one.code == 4401)
    assert other.client is not None
    assert other.client._follower is not None
    session = other.client._follower.session
    other.client._follower.session = replace(session, expires_at=int(time.time()))
    await api.parts.live.check()
    await until(lambda: other.code == 4401)
    await until(lambda: api.parts.live.hub._followers.conversations() == [])


async def test_a_session_that_ends_while_it_is_looked_up_is_found_to_have_ended(api: Api) -> None:
    """Fails when a socket outlives a session whose end was told before the socket was known."""
    ana = await api.sign_in("ana")
    sessions = api.parts.live._parts.signing_in._sessions
    found = await sessions.get(api_session(ana))
    with patch.object(sessions, "get", AsyncMock(side_effect=[found, None])):
        socket = connect(api.parts.live, ana)
        await until(lambda: socket.code == 4401)
    assert socket.of_type("hello") == []


def api_session(who: dict[str, str]) -> SessionId:
    token = who["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    return SessionId(claims["jti"])


async def test_a_socket_that_never_says_who_it_is_is_closed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_client, "FIRST_SECONDS", 0.0)
    socket = connect(api.parts.live, None)
    await api.parts.live.check()
    assert socket.code == 4401


async def test_read_markers_reach_all_devices_and_other_members(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    await api.send(ana)
    await api.routed()
    sockets = [await resumed(api.parts.live, who) for who in (ana, bruno, bruno)]
    sockets[1].say(type="read", conversation_id=CHAT, seq=1)
    for socket in sockets:
        frame = await socket.heard("read")
        assert frame == {"type": "read", "conversation_id": CHAT, "username": "bruno", "seq": 1}
    later = await resumed(api.parts.live, bruno)
    assert later.of_type("resumed") == [{"type": "resumed", "markers": {CHAT: 1}}]


async def test_markers_that_come_too_fast_are_told_together_a_moment_later(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    for _ in range(4):
        await api.send(ana)
    await api.routed()
    reading, told = [await resumed(api.parts.live, who) for who in (bruno, ana)]
    reading.say(type="read", conversation_id=CHAT, seq=1)
    assert (await told.heard("read"))["seq"] == 1
    hub = api.parts.live.hub
    (followed,) = hub._followers.conversations()
    for seq in (2, 3, 4):
        reading.say(type="read", conversation_id=CHAT, seq=seq)
    await until(lambda: followed._markers.get(Username("bruno")) == 4)
    assert len(told.of_type("read")) == 1
    followed.markers_from = 0.0
    await hub.compare()
    assert (await told.heard("read", 2))["seq"] == 4


async def test_ones_own_message_says_that_one_has_read_it(api: Api) -> None:
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana)
    for _ in range(3):
        await api.send(ana)
    await socket.heard("message", 3)
    hub = api.parts.live.hub
    await hub.compare()  # which sees to markers that could not be told before
    await until(lambda: len(hub._work) == 0)
    assert socket.of_type("read") == []
    (followed,) = hub._followers.conversations()
    assert not followed.has_markers()


async def test_who_types_is_told_to_others_and_ends_no_cached_page(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    await api.history(ana)
    versions = api.parts.live.hub._versions
    kept = versions._versions[CHAT]
    one, other, own = [await resumed(api.parts.live, who) for who in (ana, bruno, ana)]
    for _ in range(3):  # a client that says it again and again
        one.say(type="typing", conversation_id=CHAT)
    frame = await other.heard("typing")
    assert frame == {"type": "typing", "conversation_id": CHAT, "username": "ana"}
    one.say(type="typing", conversation_id=ELSEWHERE)
    assert (await one.heard("error"))["problem"] == "/problems/not-found"
    assert len(other.of_type("typing")) == 1
    assert one.of_type("typing") + own.of_type("typing") == []
    assert versions._versions[CHAT] is kept


async def test_who_joins_follows_at_once_and_who_leaves_is_told_no_more(api: Api) -> None:
    ana, carla = await api.sign_in("ana"), await api.sign_up("carla")
    made = await api.gateway.post(
        "/v1/conversations", json={"type": "group", "title": "G", "members": []}, headers=ana
    )
    chat = made.json()["conversation_id"]
    await api.send(ana, "before", chat_id=chat)
    await api.routed()
    socket = await resumed(api.parts.live, carla)
    path = f"/v1/conversations/{chat}/members"
    await api.gateway.post(path, json={"username": "carla"}, headers=ana)
    await api.parts.follower.poll()
    added = await socket.heard("conversation")
    assert (added["event"], added["position"]) == ("added", "1.0")
    await api.send(ana, "with you", chat_id=chat)
    await socket.heard("message")
    assert socket.seqs() == [2]
    assert (await api.gateway.delete(f"{path}/carla", headers=ana)).status_code == 204
    await api.send(ana, "without you", chat_id=chat)
    await api.routed()
    await until(lambda: socket.of_type("conversation")[-1]["event"] == "removed")
    assert socket.seqs() == [2]
    assert chat not in [one.conversation for one in api.parts.live.hub._followers.conversations()]


async def test_a_conversation_that_nobody_follows_is_not_decoded(api: Api) -> None:
    bruno = await resumed(api.parts.live, await api.sign_in("bruno"))

    def never() -> list[Any]:
        raise AssertionError("decoded though nobody follows")

    api.parts.live.hub.announced(CHAT.replace("5", "6"), never)
    assert bruno.of_type("message") == []


async def test_messages_of_one_announcement_are_one_write(api: Api) -> None:
    bruno = await resumed(api.parts.live, await api.sign_in("bruno"))
    before = bruno.writes
    events = [MessageStored(message(seq, ConversationId(CHAT), "ana")) for seq in (1, 2, 3)]
    api.parts.live.hub.announced(CHAT, lambda: events)
    await bruno.heard("message", 3)
    assert bruno.writes == before + 1


UNREADABLE = [
    b'[{"type": "of a later release"}]',
    b'[{"key": "\xff"}]',
    b"[" * 100_000,
    b"",
    b"[]",
]


async def test_what_cannot_be_read_of_the_feed_is_read_from_the_store(api: Api) -> None:
    ana = await api.sign_in("ana")
    bruno = await resumed(api.parts.live, await api.sign_in("bruno"))
    for count, raw in enumerate(UNREADABLE, 1):
        with patch.object(api.parts.feed, "_listener", None):  # it loses what is announced
            await api.send(ana)
            await api.routed()
        assert len(bruno.seqs()) == count - 1
        api.parts.live.hub.announced(CHAT, partial(decode_events, raw))
        await bruno.heard("message", count)


async def test_a_lost_announcement_is_found_by_comparing_with_the_store(api: Api) -> None:
    ana = await api.sign_in("ana")
    bruno = await resumed(api.parts.live, await api.sign_in("bruno"))
    with patch.object(api.parts.feed, "_listener", None):
        await api.send(ana)
        await api.routed()
    # Every conversation once in so many rounds, also without a reconnect.
    for _ in range(COMPARED_IN):
        await api.parts.live.hub.compare()
    await bruno.heard("message")


async def test_after_a_silence_of_the_feed_the_store_is_read(api: Api) -> None:
    ana = await api.sign_in("ana")
    bruno = await resumed(api.parts.live, await api.sign_in("bruno"))
    hub = api.parts.live.hub
    with patch.object(api.parts.feed, "_listener", None):
        await api.send(ana)
        await api.routed()
    hub._versions._heard = float("-inf")
    hub.alive()
    await bruno.heard("message")


async def test_deliveries_are_held_while_the_directory_is_not_certain(
    api: Api,
) -> None:
    """Fails when members are taken from a cache that nobody keeps true any more (rule 19)."""
    bruno = await resumed(api.parts.live, await api.sign_in("bruno"))
    polled = api.parts.follower._polled_at
    with patch.object(api.parts.follower, "poll", AsyncMock(side_effect=Unavailable("gone"))):
        api.parts.follower._polled_at = -1e9
        events = [MessageStored(message(1, ConversationId(CHAT), "ana"))]
        await api.parts.store.write(batch(message(1, ConversationId(CHAT), "ana")))
        api.parts.live.hub.announced(CHAT, lambda: events)
        await until(lambda: api.parts.live.hub._work._resting)
        assert bruno.seqs() == []
    api.parts.follower._polled_at = polled
    api.parts.live.hub.deliver(ConversationId(CHAT))  # it would try again by itself
    await bruno.heard("message")


async def test_a_socket_that_cannot_say_hello_is_closed(api: Api) -> None:
    ana = await api.sign_in("ana")
    sessions = api.parts.live._parts.signing_in._sessions
    found = await sessions.get(api_session(ana))
    with patch.object(sessions, "get", AsyncMock(side_effect=[found, Unavailable("gone")])):
        socket = connect(api.parts.live, ana)
        await until(lambda: socket.code is not None)
    assert socket.code == 1011
    assert socket.of_type("hello") == []


async def test_an_auth_frame_that_is_invalid_is_not_our_failure(api: Api) -> None:
    socket = connect(api.parts.live, None)
    socket.say(type="auth", token=7)
    await until(lambda: socket.code is not None)
    assert socket.code == 4400


async def test_a_directory_that_takes_too_long_to_sign_in_is_our_failure(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_client, "FIRST_SECONDS", 0.0)
    ana = await api.sign_in("ana")
    sessions = api.parts.live._parts.signing_in._sessions
    with patch.object(sessions, "get", lambda _: asyncio.Event().wait()):
        socket = connect(api.parts.live, ana)
        await api.parts.live.check()
    assert socket.code == 1011


async def test_a_session_that_ends_does_not_wait_behind_conversations(api: Api) -> None:
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana)
    admission = api.parts.live._admission
    with patch.object(admission._members, "of", lambda _: asyncio.Event().wait()):
        for number in range(50):
            admission._work.mark((Subject.MEMBERS, str(number)))
        await api.gateway.post("/v1/logout", headers=ana)
        await api.parts.follower.poll()
        await until(lambda: socket.code == 4401)
    assert len(admission._work) >= 50


async def test_sessions_that_may_have_ended_are_asked_for_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, asked = set[SessionId](), list[int]()
    get, get_each = SqlSessions.get, SqlSessions.get_each

    async def one(self: SqlSessions, session: SessionId) -> Session | None:
        asked.append(1)
        return None if session in ended else await get(self, session)

    async def each(self: SqlSessions, sessions: Sequence[SessionId]) -> Mapping[SessionId, Session]:
        asked.append(len(sessions))
        return await get_each(self, [session for session in sessions if session not in ended])

    monkeypatch.setattr(SqlSessions, "get", one)
    monkeypatch.setattr(SqlSessions, "get_each", each)
    async with running(tmp_path / "data") as api:
        whose = [await api.sign_in("ana") for _ in range(3)]
        sockets = [await resumed(api.parts.live, who) for who in whose]
        await api.parts.follower.poll()  # it tells of each session that was started, once
        admission = api.parts.live._admission
        await until(lambda: not admission._session_work)
        ended.add(api_session(whose[1]))
        asked.clear()
        for listener in api.parts.follower._listeners:
            listener.all_changed()
        await until(lambda: sockets[1].code and not admission._lost_work)
        await until(lambda: not admission._session_work)
        assert [socket.code for socket in sockets] == [None, 4401, None]
    assert asked == [3, 1]  # what is not found together is asked for again
