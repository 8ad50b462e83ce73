"""Read markers reach all devices of a user, over any gateway, also when announcements are lost."""

from typing import Any
from unittest.mock import patch

import pytest

from chat4all.gateway.live.hub import COMPARED_IN, Hub
from chat4all.gateway.live.live import Live
from tests.api.conftest import CHAT, Api
from tests.live.gateways import more_gateways
from tests.live.sockets import FakeSocket, resumed, until

pytestmark = pytest.mark.anyio


async def read(api: Api, who: dict[str, str], seq: int) -> None:
    path = f"/v1/conversations/{CHAT}/read"
    answer = await api.gateway.post(path, json={"seq": seq}, headers=who)
    assert answer.status_code == 202
    await api.routed()


async def compared(live: Live) -> None:
    """Compare everything with the store once."""
    for followed in live.hub._followers.conversations():
        followed.markers_from = 0.0
    for _ in range(COMPARED_IN):
        await live.hub.compare()
    await until(lambda: len(live.hub._work) == 0)


def told(socket: FakeSocket) -> list[tuple[str, int]]:
    return [(frame["username"], frame["seq"]) for frame in socket.of_type("read")]


async def test_a_marker_reaches_all_devices_over_two_gateways(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    async with more_gateways(api) as ([other], _):
        for _ in range(3):
            await api.send(ana)
        await api.routed()
        devices = [await resumed(live, bruno) for live in (api.parts.live, other, other)]
        await read(api, bruno, 1)
        for device in devices:
            assert (await device.heard("read"))["seq"] == 1
        for live in (api.parts.live, other):
            for followed in live.hub._followers.conversations():
                followed.markers_from = 0.0
        devices[2].say(type="read", conversation_id=CHAT, seq=2)
        for device in devices:
            assert (await device.heard("read", 2))["seq"] == 2
        # What one sends says that one has read it: on the other devices too.
        await api.send(bruno)
        for device in devices:
            assert (await device.heard("message"))["message"]["seq"] == 4
    listed = await api.gateway.get("/v1/conversations", headers=bruno)
    assert listed.json()[0]["unread"] == 0
    again = await resumed(api.parts.live, bruno)
    assert again.of_type("resumed")[0]["markers"] == {CHAT: 4}


def lost(api: Api) -> Any:
    """Return what makes the feed lose what is announced."""
    return patch.object(api.parts.feed, "_listener", None)


async def test_a_lost_marker_is_found_by_comparing_and_told_once(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    for _ in range(3):
        await api.send(ana)
    await api.routed()
    await read(api, bruno, 1)
    devices = [await resumed(api.parts.live, bruno) for _ in range(2)]
    with lost(api):
        await read(api, bruno, 2)
    # A device that comes later knows: this does not say that the others do.
    late = await resumed(api.parts.live, bruno)
    assert late.of_type("resumed")[0]["markers"] == {CHAT: 2}
    await compared(api.parts.live)
    for device in devices:
        assert told(device) == [("bruno", 2)]
    await compared(api.parts.live)
    assert [told(device) for device in devices] == [[("bruno", 2)]] * 2


async def test_a_marker_is_found_again_for_who_came_while_it_was_lost(api: Api) -> None:
    """Fails when what was told to devices that have left counts for those that come."""
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    for _ in range(2):
        await api.send(ana)
    await api.routed()
    first = await resumed(api.parts.live, bruno)
    await read(api, bruno, 1)
    await first.heard("read")
    (followed,) = api.parts.live.hub._followers.conversations()
    assert followed.markers_told == {"bruno": 1}
    other = await resumed(api.parts.live, ana)
    first.close(1000)
    await until(lambda: "bruno" not in followed.markers_told)
    other.close(1000)
    await until(lambda: not api.parts.live.hub._followers.conversations())
    again = await resumed(api.parts.live, bruno)
    with lost(api):
        await read(api, bruno, 2)
    await compared(api.parts.live)
    assert told(again) == [("bruno", 2)]


async def test_nothing_is_told_by_comparing_where_nothing_was_lost(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    await api.send(ana)
    await api.routed()
    await read(api, bruno, 1)
    sockets = [await resumed(api.parts.live, who) for who in (ana, bruno)]
    await api.send(ana)
    for socket in sockets:
        await socket.heard("message")
    await compared(api.parts.live)
    assert [told(socket) for socket in sockets] == [[], []]


async def test_a_marker_beyond_the_head_is_told_up_to_the_head(api: Api) -> None:
    ana = await api.sign_in("ana")
    socket = await resumed(api.parts.live, ana)

    async def ahead(_: Any) -> Any:
        return {CHAT: {"ana": 99}}

    hub: Hub = api.parts.live.hub
    with patch.object(hub, "_read_by", ahead):
        await compared(api.parts.live)
        assert told(socket) == []  # there is nothing that could be read
        await api.send(await api.sign_in("bruno"))
        await socket.heard("message")
        await compared(api.parts.live)
    assert told(socket) == [("ana", 1)]
