"""Kinds, replies and mentions over sockets and streams: as the history has them."""

from typing import Any

import pytest

from chat4all.domain.kinds import Kind
from tests.api.conftest import CHAT, Api
from tests.live.sockets import resumed

pytestmark = pytest.mark.anyio

PAYLOAD: dict[str, Any] = {"lat": 1.5, "lon": -2.0}


async def test_a_socket_sends_and_is_sent_all_that_the_history_has(api: Api) -> None:
    ana = await resumed(api.parts.live, await api.sign_in("ana"))
    bruno = await api.sign_in("bruno")
    other = await resumed(api.parts.live, bruno)
    ana.say(type="send", ref="a", chat_id=CHAT, content="one", mentions=["bruno"])
    first = (await ana.heard("accepted"))["message_id"]
    ana.say(type="send", ref="b", chat_id=CHAT, kind="location", payload=PAYLOAD)
    ana.say(type="send", ref="c", chat_id=CHAT, content="three", reply_to=first)
    ana.say(type="send", ref="d", chat_id=CHAT, content="four")
    await ana.heard("accepted", 4)
    history = await api.history(bruno)
    for socket in (ana, other):
        await socket.heard("message", 4)
        history = await api.history(bruno)
        for frame, shown in zip(socket.of_type("message"), history, strict=True):
            assert frame["message"] | {"status": ""} == shown | {"status": ""}
    assert [one["mentions"] for one in history] == [["bruno"], [], [], []]
    assert [one["kind"] for one in history] == [Kind.TEXT, Kind.LOCATION, Kind.TEXT, Kind.TEXT]
    assert history[1]["payload"] == PAYLOAD
    assert history[2]["reply_to"]["content"] == "one"
    ana.say(type="send", ref="e", chat_id=CHAT, kind="location", payload={"lat": 91, "lon": 0})
    error = await ana.heard("error")
    assert (error["ref"], error["problem"]) == ("e", "/problems/invalid-input")
    assert [one["pointer"] for one in error["errors"]] == ["/payload/lat"]


async def test_a_reply_that_is_announced_late_shows_no_text_that_was_deleted(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    first = await api.send(bruno, "secret")
    await api.routed()
    await api.send(bruno, "an answer", reply_to=first)
    await api.routed()
    path = f"/v1/conversations/{CHAT}/messages/{first}"
    assert (await api.gateway.delete(path, headers=bruno)).status_code == 202
    await api.routed()
    socket = await resumed(api.parts.live, bruno, **{CHAT: "0.0"})
    await socket.heard("message", 2)
    assert "secret" not in str(socket.frames)
    assert socket.of_type("message")[1]["message"]["reply_to"]["deleted"]
