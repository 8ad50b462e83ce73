"""Delivered markers: what moves them, who is told, and what they do not cost."""

import asyncio
from typing import Any

import pytest

from chat4all.domain.events import DELIVERED, MarkerMoved
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Marker
from chat4all.domain.people import Role
from chat4all.domain.position import Position
from chat4all.gateway.live import delivering, followers
from chat4all.gateway.live.live import Live
from chat4all.gateway.live.membership import PresentMembers
from chat4all.usecases import delivered
from tests.api.conftest import CHAT, Api
from tests.live.gateways import more_gateways
from tests.live.sockets import FakeSocket, resumed, until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no marker wait for the next second: the tests of the bounds do without."""
    monkeypatch.setattr(delivered, "REST_SECONDS", 0.0)
    monkeypatch.setattr(delivering, "MARKERS_SECONDS", 0.0)


async def receipts(api: Api, who: dict[str, str]) -> dict[str, tuple[int, int]]:
    path = f"/v1/conversations/{CHAT}/receipts"
    answer = await api.gateway.get(path, headers=who)
    return {one["username"]: (one["delivered_seq"], one["read_seq"]) for one in answer.json()}


async def looked(api: Api, live: Live | None = None) -> None:
    """Let a gateway look at what was received, and the router store it."""
    await (live or api.parts.live)._received.look()
    await api.routed()


async def until_received(api: Api, who: dict[str, str], seq: int) -> None:
    """Wait until the receipts say that bruno, who has read nothing, has received so much."""
    await looked(api)
    async with asyncio.timeout(30):
        while (await receipts(api, who))["bruno"] != (seq, 0):
            await asyncio.sleep(0.01)


def told(socket: FakeSocket) -> list[tuple[str, int]]:
    return [(frame["username"], frame["seq"]) for frame in socket.of_type("delivered")]


async def test_a_message_that_reaches_a_device_is_told_to_all_over_two_gateways(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    async with more_gateways(api) as ([other], shared):
        sender, device = await resumed(api.parts.live, ana), await resumed(other, bruno)
        second = await resumed(api.parts.live, bruno)
        await api.send(ana)
        await device.heard("message")
        await looked(api, other)
        for socket in (sender, device, second):
            assert await socket.heard("delivered") == {
                "type": "delivered",
                "conversation_id": CHAT,
                "username": "bruno",
                "seq": 1,
            }
        assert DELIVERED + CHAT in shared.keys
    assert await receipts(api, ana) == {"ana": (1, 1), "bruno": (1, 0)}
    # Nothing is read by it.
    listed = await api.gateway.get("/v1/conversations", headers=bruno)
    assert listed.json()[0]["unread"] == 1
    assert listed.json()[0]["last_message"]["status"] == "DELIVERED"


async def test_it_costs_one_record_however_many_devices_and_messages(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    devices = [await resumed(api.parts.live, who) for who in (ana, bruno, bruno)]
    for _ in range(5):
        await api.send(ana)
    for device in devices:
        await device.heard("message", 5)
    before = await api.parts.log.end()
    await looked(api)
    await looked(api)
    assert await api.parts.log.end() - before <= 2  # one; two where a look fell in between
    await until(lambda: told(devices[0]))
    assert told(devices[0])[-1] == ("bruno", 5)
    # One's own messages say it: nobody is told of the sender.
    assert "ana" not in {name for name, _ in told(devices[1])}


async def test_a_page_that_is_read_moves_it_also_a_cached_one(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    for _ in range(3):
        await api.send(ana)
    await api.routed()
    await api.history(bruno, "?after=0&limit=1")
    await until_received(api, ana, 1)
    await api.history(ana)
    await api.history(bruno)  # the page that was made for ana
    await until_received(api, ana, 3)
    await api.history(bruno, "?before=2")
    await looked(api)
    assert (await receipts(api, ana))["bruno"] == (3, 0)


async def test_asking_for_the_head_alone_or_reading_unusually(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    await api.send(ana)
    await api.routed()
    path = f"/v1/conversations/{CHAT}/messages"
    assert (await api.gateway.head(path, headers=bruno)).status_code == 200
    await looked(api)
    assert (await receipts(api, ana))["bruno"] == (0, 0)
    answer = await api.gateway.get(path, params={"unknown": "1"}, headers=bruno)
    assert answer.status_code == 200
    await until_received(api, ana, 1)


async def test_it_ends_no_cached_page(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    socket = await resumed(api.parts.live, ana)
    await api.send(ana)
    await socket.heard("message")
    versions, chat = api.parts.live.hub._versions, ConversationId(CHAT)
    version = versions.current(chat, await api.parts.people.directory.members(chat))
    await api.history(bruno)
    await looked(api)
    await socket.heard("delivered")
    assert versions.is_current(chat, version)


async def test_what_has_not_left_this_process_is_not_delivered(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    device = await resumed(api.parts.live, bruno)
    device.drains = False
    await api.send(ana)
    await device.heard("message")
    await looked(api)
    assert (await receipts(api, ana))["bruno"] == (0, 0)
    device.drains = True
    await until_received(api, ana, 1)


async def test_a_connection_that_ends_before_has_received_nothing_unless_it_says_so(
    api: Api,
) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    device = await resumed(api.parts.live, bruno)
    device.drains = False
    await api.send(ana)
    await device.heard("message")
    device.close(1001)
    await looked(api)
    assert (await receipts(api, ana))["bruno"] == (0, 0)
    # Its position is its word that it was sent everything up to there.
    await resumed(api.parts.live, bruno, **{CHAT: "1.0"})
    await until_received(api, ana, 1)


async def test_what_a_resume_sends_is_delivered_and_a_place_to_begin_is_not(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    for _ in range(3):
        await api.send(ana)
    await api.routed()
    fresh = await resumed(api.parts.live, bruno)
    assert fresh.of_type("conversation")[0]["position"] == "3.0"
    await looked(api)
    assert (await receipts(api, ana))["bruno"] == (0, 0)
    fresh.close(1000)
    later = await resumed(api.parts.live, bruno, **{CHAT: "1.0"})
    assert later.seqs() == [2, 3]
    await until_received(api, ana, 3)


async def test_a_large_group_is_told_a_few_at_a_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a thousand members who receive a message are a thousand frames for each socket."""
    monkeypatch.setattr(followers, "DELIVERED_TOLD", 2)
    monkeypatch.setattr(delivering, "MARKERS_SECONDS", 3_600.0)
    ana = await api.sign_in("ana")
    await api.send(ana)
    await api.routed()
    socket = await resumed(api.parts.live, ana)
    hub, chat = api.parts.live.hub, ConversationId(CHAT)
    followed: Any = hub._followers.get(chat)

    crowd = {Username(name): Role.MEMBER for name in ("ana", *"bcdefg")}

    async def crowded(*_: Any) -> Any:
        return crowd

    monkeypatch.setattr(PresentMembers, "of", crowded)
    hub.announced(
        DELIVERED + CHAT,
        lambda: [MarkerMoved(Marker(chat, name, 1, 0)) for name in crowd if name != "ana"],
    )
    await until(lambda: len(told(socket)) == 2)
    hub.deliver(chat)
    await until(lambda: len(hub._work) == 0)
    assert len(told(socket)) == 2
    for count in (4, 6):
        followed.markers_from = 0.0
        hub.deliver_what_waits()
        await until(lambda: len(hub._work) == 0)
        assert len(told(socket)) == count
    assert {name for name, _ in told(socket)} == set(crowd) - {"ana"}
    assert Position(1).covers(followed.head)
