"""Watching over sockets, on the whole system: one machine, and two gateways with a feed."""

import time
from pathlib import Path
from unittest.mock import patch

import pytest

from chat4all.gateway.live import presence
from chat4all.wire.client_frames import WATCH_MAX
from tests.api.conftest import Api, running
from tests.live.gateways import more_gateways
from tests.live.sockets import connect, resumed, until
from tests.live.test_resuming import count_questions

pytestmark = pytest.mark.anyio


async def test_who_is_online_is_told_to_who_asks_and_shares_a_conversation(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bruno, carla = (
        await api.sign_in("ana"),
        await api.sign_in("bruno"),
        await api.sign_up("carla"),
    )
    live = api.parts.live
    bruno_device = await resumed(live, bruno)
    carla_device = await resumed(live, carla)
    socket = await resumed(live, ana)
    socket.say(type="watch", usernames=["bruno", "carla", "nobody"])
    frame = await socket.heard("presence")
    assert frame == {"type": "presence", "username": "bruno", "status": "online"}
    bruno_device.close(1000)
    watching = live._parts.watching
    await until(lambda: "bruno" not in live._parts.followers.users)
    later = time.monotonic() + presence.OFFLINE_SECONDS
    # To the end: before that time he would be online again for the gateway's own look.
    monkeypatch.setattr(watching.presence, "_clock", lambda: later + 1)
    await watching.tick()
    frame = await socket.heard("presence", 2)
    assert (frame["status"], frame.keys() >= {"last_seen"}) == ("offline", True)
    # Carla joins what ana is in.
    made = await api.gateway.post(
        "/v1/conversations", json={"type": "private", "members": ["carla"]}, headers=ana
    )
    assert made.status_code == 201
    await api.parts.follower.poll()
    assert (await socket.heard("presence", 3))["username"] == "carla"
    assert carla_device.of_type("presence") == []
    socket.close(1000)
    await until(lambda: not watching._watches)


async def test_a_list_is_looked_at_with_few_questions_about_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = tmp_path / "data", ["bruno", "carla", "davi"]
    async with running(folder) as api:
        ana = await api.sign_in("ana")
        for name in names[1:]:
            await api.sign_up(name)
            new = {"type": "private", "members": [name]}
            made = await api.gateway.post("/v1/conversations", json=new, headers=ana)
            assert made.status_code == 201
    asked = count_questions(monkeypatch)
    async with running(folder) as api:
        socket = connect(api.parts.live, await api.sign_in("ana"))
        await socket.heard("hello")
        socket.say(type="watch", usernames=names)
        await socket.heard("presence", len(names))
    assert asked == ["members_of"]


async def test_too_long_a_list_is_refused_and_keeps_the_former_one(api: Api) -> None:
    socket = connect(api.parts.live, await api.sign_in("ana"))
    await socket.heard("hello")
    socket.say(type="watch", usernames=["ana"] * WATCH_MAX)
    assert (await socket.heard("presence"))["username"] == "ana"
    for count, bad in enumerate((["x"] * (WATCH_MAX + 1), "ana", [1]), 1):
        socket.say(type="watch", usernames=bad)
        assert (await socket.heard("error", count))["status"] == 422
    assert len(api.parts.live._parts.watching._watches) == 1


async def test_lists_are_sent_no_more_often_than_lists_are_asked_for(api: Api) -> None:
    socket = await resumed(api.parts.live, await api.sign_in("ana"))
    limit = api.parts.live._parts.limits.list
    with patch.object(limit, "_each", 1e9):
        socket.say(type="watch", usernames=["ana"])
        socket.say(type="watch", usernames=["ana"])
        assert (await socket.heard("error"))["status"] == 429


async def test_presence_is_told_over_two_gateways_and_ends_no_cached_page(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    async with more_gateways(api, 2) as ([here, there], feed):
        for live in (here, there):
            await live._parts.watching.tick()  # the feed is heard
        socket = await resumed(here, ana)
        with patch.object(here.hub._versions, "supersede", side_effect=AssertionError):
            socket.say(type="watch", usernames=["bruno"])
            await until(lambda: there._parts.watching.presence._asked)
            other = await resumed(there, bruno)
            frame = await socket.heard("presence")
        assert frame == {"type": "presence", "username": "bruno", "status": "online"}
        other.close(1000)
        await until(lambda: len([key for key in feed.keys if "seen" in key]) == 2)
        assert len(socket.of_type("presence")) == 1
