"""The scripted server, where the reference does not go: other ways in, frames that write, pages."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.conformance.data import CONVERSATIONS, Json, Scenario, message_id
from tests.conformance.server import ScriptedServer
from tests.conformance.store import Store

pytestmark = pytest.mark.anyio

CHAT = CONVERSATIONS["@A"]
MINE = message_id(CHAT, 77)

TAKES_ANYTHING: list[Json] = [{"resume": "any"}, {"resumed": {}}]


@asynccontextmanager
async def served(**described: Any) -> AsyncGenerator[tuple[ScriptedServer, str]]:
    described = {"tokens": {"good": ["t1"]}, **described}
    server = ScriptedServer(Scenario("one", "", [], described))
    async with server.serving() as url:
        yield server, url


def dial(url: str, **others: Any) -> connect:
    others.setdefault("additional_headers", {"Authorization": "Bearer t1"})
    return connect("ws" + url.removeprefix("http") + "/v1/live", proxy=None, **others)


async def heard(socket: ClientConnection) -> Json:
    frame: Json = json.loads(await socket.recv())
    return frame


async def say(socket: ClientConnection, **frame: Any) -> None:
    await socket.send(json.dumps(frame))


async def closed_with(socket: ClientConnection) -> int:
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


# Ways in.


async def test_a_token_comes_in_a_subprotocol() -> None:
    offered = [Subprotocol("chat4all.v1"), Subprotocol("bearer.t1")]
    async with (
        served() as (_, url),
        dial(url, subprotocols=offered, additional_headers={}) as socket,
    ):
        assert (await heard(socket))["type"] == "hello"
        assert socket.subprotocol == "chat4all.v1"


async def test_a_token_comes_in_the_first_frame() -> None:
    async with served() as (_, url), dial(url, additional_headers={}) as socket:
        await say(socket, type="auth", token="t1")
        assert (await heard(socket))["type"] == "hello"


@pytest.mark.parametrize("way", ["header", "frame"])
async def test_a_token_that_is_not_good_is_4401_and_costs_no_script(way: str) -> None:
    async with served(sockets=[TAKES_ANYTHING]) as (server, url):
        headers = {"Authorization": "Bearer old"} if way == "header" else {}
        async with dial(url, additional_headers=headers) as socket:
            if way == "frame":
                await say(socket, type="auth", token="old")
            assert await closed_with(socket) == 4401
        async with dial(url) as socket:
            assert (await heard(socket))["type"] == "hello"
            assert server.record.faults == []


async def test_a_connection_too_many_is_a_fault() -> None:
    async with served(sockets=[]) as (server, url):
        with pytest.raises(Exception, match="503"):
            async with dial(url):
                pass
        assert server.record.faults == ["the client opened a connection more than it should have"]


# Frames.


async def test_frames_write_as_requests_do() -> None:
    rules = {"send": [{"answer": 503, "retry_after": 3}], "react": [{"answer": 422}]}
    first, second = message_id(CHAT, 78), message_id(CHAT, 79)
    change = {"conversation_id": CHAT, "message_id": message_id(CHAT, 1)}
    async with served(calls=rules) as (server, url), dial(url) as socket:
        await heard(socket)
        send = {"type": "send", "chat_id": CHAT, "content": "x", "message_id": MINE}
        await say(socket, **send, ref="1")
        refused = await heard(socket)
        assert refused["type"] == "error"
        assert (refused["ref"], refused["status"]) == ("1", 503)
        assert (refused["retry_after"], refused["message_id"]) == (3, MINE)
        await say(socket, type="read", conversation_id=CHAT, seq=1)  # says nothing
        await say(socket, type="edit", content="y", ref="2", change_id=first, **change)
        accepted = {"type": "accepted", "ref": "2", "change_id": first}
        assert accepted.items() <= (await heard(socket)).items()
        await say(socket, type="react", emoji="👍", ref="3", change_id=second, **change)
        assert (await heard(socket))["status"] == 422
        told = [(a.kind, a.identifier) for a in server.record.attempts]
        assert told == [("send", MINE), ("read", None), ("edit", first), ("react", second)]
        assert server.record.faults == []


async def test_a_lost_answer_to_a_frame_ends_the_connection() -> None:
    async with served(calls={"send": [{"lose": True}]}) as (server, url), dial(url) as socket:
        await say(socket, type="send", chat_id=CHAT, content="x", message_id=MINE)
        assert await closed_with(socket) == 1006
        assert [a.identifier for a in server.record.attempts] == [MINE]


async def test_a_frame_that_is_too_large_is_1009() -> None:
    async with served() as (_, url), dial(url) as socket:
        await say(socket, type="typing", conversation_id=CHAT, more="." * 65536)
        assert await closed_with(socket) == 1009


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "shout"},
        {"type": "resume", "positions": {CHAT: 3}},
        {"type": "send", "chat_id": "A", "content": "x"},
    ],
)
async def test_a_frame_that_is_not_as_it_should_be_is_a_fault(frame: Json) -> None:
    async with served(sockets=[[{"resume": "any"}]]) as (server, url), dial(url) as socket:
        await say(socket, **frame)
        await server.record.until(lambda: bool(server.record.faults))
        assert "a frame is not as it should be" in server.record.faults[0]


async def test_resume_is_sent_once() -> None:
    async with served() as (server, url), dial(url) as socket:
        await say(socket, type="resume")
        await say(socket, type="resume")
        await server.record.until(lambda: bool(server.record.faults))
        assert server.record.faults == ["`resume` was sent twice on one connection"]


# Requests.


async def test_a_refresh_token_may_be_repeated_until_its_successor_is_used() -> None:
    async with served() as (server, url), httpx2.AsyncClient(base_url=url, verify=False) as http:

        async def token(**form: str) -> httpx2.Response:
            return await http.post("/token", data=form)

        async def refreshed(refresh_token: str) -> httpx2.Response:
            return await token(grant_type="refresh_token", refresh_token=refresh_token)

        assert (await token(username="ana", password="wrong")).status_code == 401
        first = (await token(username="ana", password="sesame")).json()
        second = (await refreshed(first["refresh_token"])).json()
        again = (await refreshed(first["refresh_token"])).json()
        assert again["refresh_token"] == second["refresh_token"]
        assert again["access_token"] != second["access_token"]
        third = await refreshed(second["refresh_token"])
        assert third.status_code == 200
        assert server.record.faults == []
        assert (await refreshed(first["refresh_token"])).status_code == 400
        assert (await refreshed(third.json()["refresh_token"])).status_code == 400
        assert "was used again" in server.record.faults[0]


async def test_calls_want_a_good_token_and_known_conversations() -> None:
    async with (
        served(conversations={CHAT: {"messages": 2}}) as (_, url),
        httpx2.AsyncClient(base_url=url, verify=False) as http,
    ):
        path = f"/v1/conversations/{CHAT}/messages"
        refused = await http.get(path)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        http.headers["authorization"] = "Bearer t1"
        page = await http.get(path, params={"limit": 1})
        assert [message["seq"] for message in page.json()] == [2]
        assert page.headers["chat4all-position"] == "2.0"
        older = await http.get(page.links["prev"]["url"])
        assert [message["seq"] for message in older.json()] == [1]
        (listed,) = (await http.get("/v1/conversations")).json()
        assert (listed["conversation_id"], listed["position"]) == (CHAT, "2.0")
        unknown = CONVERSATIONS["@B"]
        assert (await http.get(f"/v1/conversations/{unknown}")).status_code == 404


def test_pages_are_full_and_their_links_lead_through_all() -> None:
    history = Store({CHAT: {"messages": 450}}).conversations[CHAT]
    for rel, query in (("prev", {}), ("next", {"after": 0})):
        seen: list[list[int]] = []
        wanted: Json | None = {"limit": 1000, **query}
        while wanted is not None:
            page, links = history.page(**wanted)
            seen.append([message["seq"] for message in page])
            wanted = links.get(rel)
        assert [len(page) for page in seen] == [200, 200, 50]
        ordered = seen if rel == "next" else seen[::-1]
        assert [seq for page in ordered for seq in page] == [*range(1, 451)]
    assert [m["seq"] for m in history.page(10, around=100)[0]] == [*range(95, 105)]
    assert history.page(10, after=450) == ([], {})
    assert history.page(10, before=1) == ([], {})
