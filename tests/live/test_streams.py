"""Server-sent events: one conversation, over HTTP as it is served."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from chat4all.domain.ids import ConversationId
from chat4all.gateway.live import streams
from chat4all.gateway.live.outgoing import WAITING_MAX
from chat4all.gateway.live.streams import Stream, as_event
from tests.api.changing import THUMB, delete, edit, react, sent
from tests.api.conftest import CHAT, Api
from tests.live.described import check_frame, of_streams
from tests.live.sockets import until, write_paced
from tests.metadata_service import serving

pytestmark = pytest.mark.anyio

PATH = f"/v1/conversations/{CHAT}/events"
Event = tuple[str, dict[str, Any]]


class Events:
    """The events of a stream, each with its id, or ""."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self) -> Event:
        found, comments = {"id": ""}, 0
        async with asyncio.timeout(10):
            async for line in self._lines:
                if line.startswith(":"):
                    comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    found[name] = value
                elif "data" in found:
                    frame = json.loads(found["data"])
                    check_frame(frame)
                    assert frame["type"] in of_streams()
                    if frame["type"] != "delivered":  # those come by themselves
                        return found["id"], frame
                    found = {"id": ""}
                elif comments:
                    return "", {"type": "(comment)"}
        raise AssertionError("the stream has ended")

    async def types(self, count: int) -> list[tuple[str, str]]:
        events = [await self.next() for _ in range(count)]
        return [(at, frame["type"]) for at, frame in events]


@asynccontextmanager
async def listening(url: str, who: dict[str, str], **headers: str) -> AsyncIterator[Events]:
    async with (
        httpx.AsyncClient(base_url=url, timeout=10) as client,
        client.stream("GET", PATH, headers=who | headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        yield Events(answer.aiter_lines())


async def test_a_stream_begins_with_a_position_and_goes_on_with_what_is_live(api: Api) -> None:
    ana = await api.sign_in("ana")
    await api.send(ana)
    await api.routed()
    async with serving(api.parts.gateway) as url:
        async with listening(url, ana) as events:
            assert await events.types(2) == [("1.0", "conversation"), ("", "resumed")]
            await api.send(ana, "two")
            at, frame = await events.next()
            assert (at, frame["message"]["content"]) == ("2.0", "two")
            assert [frame["message"]] == (await api.history(ana))[1:]
        followers = api.parts.live.hub._followers
        await until(lambda: not followers.users and not followers.conversations())


async def test_the_last_event_id_resumes(api: Api) -> None:
    ana = await api.sign_in("ana")
    for _ in range(3):
        await api.send(ana)
    await api.routed()
    last = "Last-Event-ID"
    async with serving(api.parts.gateway) as url:
        async with listening(url, ana, **{last: "1.0"}) as events:
            assert await events.types(4) == [
                ("1.0", "heartbeat"),
                ("2.0", "message"),
                ("3.0", "message"),
                ("", "resumed"),
            ]
        async with listening(url, ana, **{last: "3.0"}) as events:
            assert await events.types(2) == [("3.0", "heartbeat"), ("", "resumed")]
        async with listening(url, ana, **{last: "9.0"}) as events:
            assert await events.types(2) == [("9.0", "heartbeat"), ("3.0", "reload")]


async def test_the_last_event_id_has_both_numbers(api: Api) -> None:
    ana = await api.sign_in("ana")
    message = await sent(api, ana)
    await edit(api, ana, message, "two")
    await sent(api, ana)
    await react(api, ana, message, THUMB)
    async with serving(api.parts.gateway) as url:
        async with listening(url, ana, **{"Last-Event-ID": "1.0"}) as events:
            assert await events.types(4) == [
                ("1.0", "heartbeat"),
                ("2.0", "message"),
                ("2.2", "message_changed"),
                ("", "resumed"),
            ]
            await delete(api, ana, message)
            at, frame = await events.next()
            assert (at, frame["type"]) == ("2.3", "message_changed")
            assert frame["message"] == (await api.history(ana))[0]
        async with listening(url, ana, **{"Last-Event-ID": "2.2"}) as events:
            assert (await events.types(3))[1] == ("2.3", "message_changed")
        async with listening(url, ana, **{"Last-Event-ID": "2.4"}) as events:
            assert await events.types(2) == [("2.4", "heartbeat"), ("2.3", "reload")]


class AnotherGeneration:
    """That of a folder that was restored, or of a cluster, which does not know its first one."""

    def __init__(self, first: str | None, now: str) -> None:
        self.first = first
        self.now = now

    async def current(self) -> str:
        return self.now


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("first", "2.0", "reload"),
        ("first", "2.0@first", "reload"),
        ("first", "2.0@other", "reload"),
        ("first", "2.0@now", "message"),
        (None, "2.0", "message"),
        (None, "2.0@other", "reload"),
        (None, "2.0@now", "message"),
        ("now", "2.0", "message"),
        ("now", "2.0@other", "reload"),
    ],
)
async def test_the_id_of_an_event_of_another_generation_is_a_reload(
    api: Api, first: str | None, last: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await api.sign_in("ana")
    for _ in range(3):
        await api.send(ana)
    await api.routed()
    endpoint = api.parts.live.routes[0].endpoint
    monkeypatch.setattr(endpoint, "_generation", AnotherGeneration(first, "now"))
    of = "" if first == "now" else "@now"
    async with serving(api.parts.gateway) as url:
        async with listening(url, ana, **{"Last-Event-ID": last}) as events:
            at, frame = await events.next()
            if expected == "message":
                assert (at, frame["type"]) == (f"2.0{of}", "heartbeat")
                at, frame = await events.next()
            assert (at, frame["type"]) == (f"3.0{of}", expected)
        async with listening(url, ana, **{"Last-Event-ID": at}) as events:
            assert await events.types(2) == [(at, "heartbeat"), ("", "resumed")]


async def test_a_silent_stream_has_comments(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "COMMENT_SECONDS", 0.01)
    ana = await api.sign_in("ana")
    async with serving(api.parts.gateway) as url, listening(url, ana) as events:
        while (await events.next())[1]["type"] != "(comment)":
            pass


async def test_a_stream_ends_with_the_membership_or_the_session(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    async with serving(api.parts.gateway) as url, listening(url, bruno) as events:
        await events.types(2)
        await api.gateway.post("/v1/logout", headers=bruno)
        await api.parts.follower.poll()
        with pytest.raises(AssertionError, match="has ended"):
            await events.next()
    followers = api.parts.live.hub._followers
    await until(lambda: not followers.users)
    async with serving(api.parts.gateway) as url, listening(url, ana) as events:
        await events.types(2)
        (follower,) = followers.all()
        api.parts.live._admission._delivery.remove(follower, ConversationId(CHAT))
        assert (await events.next())[1]["event"] == "removed"
        with pytest.raises(AssertionError, match="has ended"):
            await events.next()


async def test_streams_end_when_the_server_begins_to_end(api: Api) -> None:
    ana = await api.sign_in("ana")
    async with serving(api.parts.gateway) as url, listening(url, ana) as events:
        await events.types(2)
        api.parts.live.end_streams()
        with pytest.raises(AssertionError, match="has ended"):
            await events.next()


async def test_a_stream_that_signs_in_while_the_server_begins_to_end_ends(api: Api) -> None:
    ana = await api.sign_in("ana")
    endpoint: Any = api.parts.live.routes[0].endpoint
    members, is_asked, may_answer = endpoint._reading.members, asyncio.Event(), asyncio.Event()

    async def slow(*of: Any) -> Any:
        is_asked.set()
        await may_answer.wait()
        return await members(*of)

    async with serving(api.parts.gateway) as url:
        with patch.object(endpoint._reading, "members", slow):
            opening = asyncio.create_task(_begin(url, ana))
            await is_asked.wait()
            api.parts.live.end_streams()
            may_answer.set()
            async with asyncio.timeout(5):
                assert await opening == []
    assert not api.parts.live.hub._followers.users


async def _begin(url: str, who: dict[str, str]) -> list[str]:
    async with (
        httpx.AsyncClient(base_url=url, timeout=10) as client,
        client.stream("GET", PATH, headers=who) as answer,
    ):
        assert answer.status_code == 200
        return [line async for line in answer.aiter_lines()]


async def test_who_may_not_read_gets_no_stream(api: Api) -> None:
    carla, ana = await api.sign_up("carla"), await api.sign_in("ana")
    for who, status in ((carla, 404), ({}, 401), (ana | {"Last-Event-ID": "x"}, 422)):
        assert (await api.gateway.get(PATH, headers=who)).status_code == status
    head = await api.gateway.head(PATH, headers=ana)
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream")
    assert (await api.gateway.post(PATH, headers=ana)).status_code == 405
    elsewhere = PATH.replace(CHAT, "nothing")
    assert (await api.gateway.get(elsewhere, headers=ana)).status_code == 404


async def test_a_stream_that_nobody_reads_ends_when_too_much_waits() -> None:
    stream = Stream()
    event = as_event(b"{}", "1.0")
    stream.write(event * (WAITING_MAX // len(event)))
    assert stream.is_open
    assert not stream.write_passing(event)
    stream.write(event)
    assert not stream.is_open


async def test_a_replay_waits_for_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream()
    await write_paced(stream, b"x" * WAITING_MAX)  # outside the cap
    writing = asyncio.ensure_future(write_paced(stream, b"y"))
    await asyncio.sleep(0)
    assert not writing.done()
    assert await stream.next(1) == b"x" * WAITING_MAX
    await writing
    monkeypatch.setattr(streams, "ROOM_SECONDS", 0.001)
    with pytest.raises(ConnectionError):
        await write_paced(stream, b"z")
    assert await stream.next(1) == b"y"
    assert await stream.next(1) is None


async def test_streams_are_bounded_and_counted_before_anything_is_awaited(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    (route,) = api.parts.live.routes
    endpoint: Any = route.endpoint
    assert endpoint._most <= 500
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    monkeypatch.setattr(endpoint, "_most", 3)
    monkeypatch.setattr(streams, "STREAMS_OF_USER_MAX", 2)
    may_begin, statuses = asyncio.Event(), []

    async def ask(who: dict[str, str]) -> None:
        async def send(message: Any) -> None:
            if "status" in message:
                statuses.append(message["status"])
                await may_begin.wait()

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        headers = [(b"authorization", who["Authorization"].encode())]
        scope = {"type": "http", "method": "GET", "path": PATH, "headers": headers}
        await endpoint(scope, receive, send)

    async with asyncio.TaskGroup() as tasks:
        for who in (ana, ana, ana, bruno, bruno):
            tasks.create_task(ask(who))
        await until(lambda: len(statuses) == 5)
        assert sorted(statuses) == [200, 200, 200, 503, 503]
        may_begin.set()
    assert not endpoint._open


async def test_a_replay_that_waits_does_not_count_against_what_is_live() -> None:
    stream = Stream()
    await write_paced(stream, b"x" * WAITING_MAX)
    assert stream.has_room
    assert stream.write_passing(b"y")
    stream.write(b"z")
    assert stream.is_open
    assert await stream.next(1) == b"x" * WAITING_MAX + b"yz"
