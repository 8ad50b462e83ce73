"""Cached pages: the same answer as the route's, for the same members, until anything changes."""

import asyncio
import uuid
from typing import Any

import pytest

from chat4all.domain.ids import ConversationId
from chat4all.gateway.pages import BYTES_BESIDE_BODY, BYTES_MAX, PageAnswer, PageQuery, Pages
from chat4all.usecases.reading import HistoryPage, Reading
from chat4all.usecases.versions import ConversationVersions
from tests.api.conftest import CHAT, Api

pytestmark = pytest.mark.anyio

PATH = f"/v1/conversations/{CHAT}/messages"


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the readers whose requests reached the use case, in order."""
    asked: list[str] = []
    history = Reading.history

    async def counted(self: Reading, reader: Any, *rest: Any, **more: Any) -> Any:
        asked.append(reader)
        return await history(self, reader, *rest, **more)

    monkeypatch.setattr(Reading, "history", counted)
    return asked


async def test_a_page_is_made_once_and_is_the_same_for_all(api: Api, readings: list[str]) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    for n in range(5):
        await api.send(bruno, f"message {n}")
    await api.routed()
    for address in (PATH, f"{PATH}?limit=2", f"{PATH}?limit=2&before=3"):
        readings.clear()
        answers = [await api.gateway.get(address, headers=who) for who in (bruno, ana, bruno)]
        assert readings == ["bruno"]
        assert len({answer.content for answer in answers}) == 1
        kinds = ("content-type", "link", "content-length")
        assert len({tuple(answer.headers.get(kind) for kind in kinds) for answer in answers}) == 1
        assert len({answer.headers["x-request-id"] for answer in answers}) == 3


async def test_whatever_changes_a_page_is_seen_at_once(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    await api.send(bruno, "one")
    await api.routed()
    assert [m["status"] for m in await api.history(ana)] == ["DELIVERED"]

    await api.send(bruno, "two")
    await api.routed()
    assert [m["seq"] for m in await api.history(ana)] == [1, 2]

    marked = await api.gateway.post(f"/v1/conversations/{CHAT}/read", json={"seq": 1}, headers=ana)
    assert marked.status_code == 202
    await api.routed()
    assert [m["status"] for m in await api.history(bruno)] == ["READ", "DELIVERED"]

    # A third member has read nothing that comes from now on, and all that was there before.
    await api.sign_up("carla")
    assert [m["status"] for m in await api.history(bruno)] == ["READ", "DELIVERED"]
    added = await api.metadata.post(
        f"/v1/conversations/{CHAT}/members", json={"username": "carla"}, headers=bruno
    )
    assert added.status_code == 201
    await api.send(bruno, "three")
    await api.routed()
    await api.gateway.post(f"/v1/conversations/{CHAT}/read", json={"seq": 3}, headers=ana)
    await api.routed()
    assert [m["status"] for m in await api.history(bruno)] == ["READ", "READ", "DELIVERED"]


async def test_a_kept_page_is_for_members_only(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    await api.send(bruno, "between us")
    await api.routed()
    for _ in range(2):
        assert len(await api.history(bruno)) == 1
    stranger = await api.sign_up("stranger")
    nowhere = await api.gateway.get(PATH.replace(CHAT, str(uuid.uuid4())), headers=stranger)
    refused = await api.gateway.get(PATH, headers=stranger)
    assert (refused.status_code, refused.json()["title"]) == (404, nowhere.json()["title"])
    assert (await api.gateway.get(PATH)).status_code == 401
    forged = {"Authorization": bruno["Authorization"] + "x"}
    assert (await api.gateway.get(PATH, headers=forged)).status_code == 401
    assert (await api.gateway.post("/v1/logout", headers=bruno)).status_code == 204
    assert (await api.gateway.get(PATH, headers=bruno)).status_code == 401


async def test_an_answer_that_a_change_overtook_is_not_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = await api.sign_in("bruno")
    await api.send(bruno, "one")
    await api.routed()
    page, reached, go_on = api.parts.store.page, asyncio.Event(), asyncio.Event()

    async def slow(*rest: Any, **more: Any) -> Any:
        found = await page(*rest, **more)
        reached.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(api.parts.store, "page", slow)
    reading = asyncio.ensure_future(api.history(bruno))
    await reached.wait()
    monkeypatch.setattr(api.parts.store, "page", page)
    await api.send(bruno, "two")
    await api.routed()
    go_on.set()
    assert len(await reading) == 1
    assert len(await api.history(bruno)) == 2


def test_the_cache_is_bounded_and_valid_only_while_the_feed_is_heard() -> None:
    now = 0.0
    versions = ConversationVersions(5.0, clock=lambda: now)
    versions.heard()
    pages = Pages(versions)
    body = b"x" * (BYTES_MAX // 4 - BYTES_BESIDE_BODY)
    for number in range(10):
        asked = PageQuery(ConversationId(f"chat {number}"), 50, {})
        page = HistoryPage(body, versions.current(asked.conversation, {}), None, None)
        pages.keep(("/", b"%d" % number), PageAnswer(asked, page, []))
    assert [number for number in range(10) if pages.get(("/", b"%d" % number))] == [6, 7, 8, 9]
    now = 5.0
    assert pages.get(("/", b"9")) is None


async def test_how_far_all_have_read_is_asked_for_once_between_two_changes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    for n in range(3):
        await api.send(bruno, f"message {n}")
    await api.routed()
    asked = 0
    read_seqs = api.parts.store.read_seqs

    async def counted(*rest: Any) -> Any:
        nonlocal asked
        asked += 1
        return await read_seqs(*rest)

    monkeypatch.setattr(api.parts.store, "read_seqs", counted)
    for limit in (1, 2, 3):
        assert {m["status"] for m in await api.history(ana, f"?limit={limit}")} == {"DELIVERED"}
    assert asked == 1
    await api.gateway.post(f"/v1/conversations/{CHAT}/read", json={"seq": 3}, headers=ana)
    await api.routed()
    for limit in (1, 2, 3):
        assert {m["status"] for m in await api.history(ana, f"?limit={limit}")} == {"READ"}
    assert asked == 2


async def test_a_page_asked_for_in_another_spelling_is_the_same(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for n in range(5):
        await api.send(bruno, f"message {n}")
    await api.routed()
    plain = await api.gateway.get(f"{PATH}?limit=2&before=4", headers=bruno)
    assert [m["seq"] for m in plain.json()] == [2, 3]
    queries = (
        "before=4&limit=2",
        "limit=%32&before=4",
        "limit=2&before=%2B4",
        "x=1&limit=2&before=4",
    )
    for query in queries:
        for path in (PATH, PATH.replace(CHAT, CHAT.upper())):
            other = await api.gateway.get(f"{path}?{query}", headers=bruno)
            assert other.content == plain.content, query
            assert other.headers["link"] == plain.headers["link"], query
