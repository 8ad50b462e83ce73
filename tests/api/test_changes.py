"""Edits, deletions and reactions, as clients see them."""

import asyncio
import uuid
from typing import Any
from urllib.parse import quote

import pytest

from chat4all.domain.changes import EDITS_MAX
from chat4all.domain.errors import OutcomeUnknown
from chat4all.domain.events import MessageChanged
from tests.api.changing import HEART, PATH, THUMB, delete, done, edit, react, sent
from tests.api.conftest import CHAT, Api

pytestmark = pytest.mark.anyio


async def position(api: Api, who: dict[str, str], query: str = "") -> str:
    answer = await api.gateway.get(PATH + query, headers=who)
    return str(answer.headers["chat4all-position"])


async def test_an_edit_is_seen_everywhere_with_what_was_before(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    message = await sent(api, bruno)
    assert (await api.history(ana))[0]["edited_at"] is None
    assert (await api.gateway.get(f"{PATH}/{message}/edits", headers=bruno)).json() == []
    await edit(api, bruno, message, "second")
    await edit(api, bruno, message, "third")

    (shown,) = await api.history(ana)
    assert (shown["content"], shown["seq"]) == ("third", 1)
    assert shown["edited_at"] >= shown["created_at"]
    assert (await api.gateway.get(f"{PATH}/{message}", headers=ana)).json() == shown
    (listed,) = (await api.metadata.get("/v1/conversations", headers=ana)).json()
    assert listed["last_message"] == shown
    assert listed["position"] == await position(api, ana) == "1.2"

    edits = (await api.gateway.get(f"{PATH}/{message}/edits", headers=bruno)).json()
    assert [one["content"] for one in edits] == ["first", "second", "third"]
    assert edits[0]["edited_at"] is None
    assert edits[2]["edited_at"] == shown["edited_at"]


async def test_a_deleted_message_keeps_its_number_and_nothing_else(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    message = await sent(api, bruno)
    await api.send(bruno, "after it")
    await edit(api, bruno, message, "second")
    await react(api, ana, message, THUMB)
    await delete(api, bruno, message)
    first = (await api.history(ana))[0]
    for late in (1, 2):
        assert (first["seq"], first["content"], first["reactions"]) == (1, "", [])
        assert first["deleted_at"] is not None
        assert first["edited_at"] is None
        assert (await api.gateway.get(f"{PATH}/{message}", headers=ana)).json() == first
        for what in ("edits", "reactions"):
            answer = await api.gateway.get(f"{PATH}/{message}/{what}", headers=bruno)
            assert answer.json() == []
        if late == 1:  # nothing that comes later brings anything back
            await delete(api, bruno, message)
            await react(api, ana, message, THUMB, "DELETE")
            again = await api.gateway.patch(
                f"{PATH}/{message}", json={"content": "x"}, headers=bruno
            )
            path = f"{PATH}/{message}/reactions/{quote(THUMB)}"
            given = await api.gateway.put(path, headers=ana)
            assert [again.status_code, given.status_code] == [409, 409]
            assert (await api.history(ana))[0] == first
    assert await position(api, ana) == "2.5"


async def test_reactions_are_counted_once_a_person_with_names(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    message = await sent(api, bruno)
    await react(api, bruno, message, HEART)
    await react(api, ana, message, HEART.replace("\ufe0f", ""))
    await react(api, ana, message, THUMB)
    await react(api, ana, message, THUMB)
    wanted = [
        {"emoji": THUMB, "count": 1, "names": ["ana"]},
        {"emoji": HEART, "count": 2, "names": ["bruno", "ana"]},
    ]
    assert (await api.history(ana))[0]["reactions"] == wanted
    assert (await api.gateway.get(f"{PATH}/{message}/reactions", headers=ana)).json() == wanted
    await react(api, ana, message, THUMB, "DELETE")
    await react(api, bruno, message, HEART, "DELETE")
    (shown,) = await api.history(ana)
    assert shown["reactions"] == [{"emoji": HEART, "count": 1, "names": ["ana"]}]
    refused = await api.gateway.put(f"{PATH}/{message}/reactions/{quote('🦜')}", headers=ana)
    assert refused.status_code == 422


async def test_erased_users_are_named_by_their_alias_in_reactions(api: Api) -> None:
    bruno, carla = await api.sign_in("bruno"), await api.sign_up("carla")
    added = await api.metadata.post(
        f"/v1/conversations/{CHAT}/members", json={"username": "carla"}, headers=bruno
    )
    assert added.status_code == 201
    message = await sent(api, bruno)
    await react(api, carla, message, THUMB)
    assert (await api.metadata.delete("/v1/users/carla", headers=carla)).status_code == 204
    async with asyncio.timeout(5):
        while "carla" in str(await api.history(bruno)):
            await asyncio.sleep(0.02)
    (shown,) = await api.history(bruno)
    (alias,) = shown["reactions"][0]["names"]
    assert alias.startswith("deleted-")
    one = await api.gateway.get(f"{PATH}/{message}", headers=bruno)
    everyone = await api.gateway.get(f"{PATH}/{message}/reactions", headers=bruno)
    (listed,) = (await api.metadata.get("/v1/conversations", headers=bruno)).json()
    assert one.json() == listed["last_message"] == shown
    assert everyone.json() == shown["reactions"]


async def test_what_is_not_stored_yet_or_not_there_is_not_found(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for method, more in (("PATCH", ""), ("DELETE", ""), ("GET", "/edits"), ("GET", "/reactions")):
        body = {"content": "x"} if method == "PATCH" else None
        path = f"{PATH}/{uuid.uuid4()}{more}"
        answer = await api.gateway.request(method, path, json=body, headers=bruno)
        assert answer.status_code == 404, (method, more)


async def test_of_two_messages_with_one_id_ones_own_is_meant(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    both = str(uuid.uuid4())
    for who in (bruno, ana):
        await api.send(who, "first", message_id=both)
    await api.routed()
    await edit(api, ana, both, "ana's")
    assert [m["content"] for m in await api.history(ana)] == ["first", "ana's"]


async def test_of_messages_with_one_id_the_number_says_which_is_meant(api: Api) -> None:
    """Else a copied id would shield a message from being deleted by an admin."""
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    both = await sent(api, ana)
    carla = await api.sign_up("carla")
    created = await api.gateway.post(
        f"/v1/conversations/{CHAT}/members", json={"username": "carla"}, headers=bruno
    )
    assert created.status_code == 201, created.text
    await api.send(carla, "a copied id", message_id=both)
    await api.routed()
    answer = await api.gateway.delete(f"{PATH}/{both}?seq=9", headers=bruno)
    assert answer.status_code == 404
    await done(api, await api.gateway.delete(f"{PATH}/{both}?seq=2", headers=bruno))
    assert [m["content"] for m in await api.history(bruno)] == ["first", ""]
    thumb = f"{PATH}/{both}/reactions/{quote(THUMB)}"
    assert (await api.gateway.put(f"{thumb}?seq=2", headers=bruno)).status_code == 409
    await done(api, await api.gateway.put(f"{thumb}?seq=1", headers=bruno))


async def test_the_same_change_again_is_made_once(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    message, own = await sent(api, bruno), str(uuid.uuid4())
    # A client may give a change its message's id (EXACTNESS 24).
    for change in (own, message):
        assert await edit(api, bruno, message, "mine", change_id=change) == change
    assert await edit(api, bruno, message, "newer") not in (own, message)
    assert await edit(api, bruno, message, "mine", change_id=own.upper()) == own
    assert (await api.history(bruno))[0]["content"] == "newer"
    path = f"{PATH}/{message}/reactions/{quote(THUMB)}"
    for _ in range(2):
        keyed = bruno | {"Idempotency-Key": f'"{CHAT}"'}
        assert await done(api, await api.gateway.put(path, headers=keyed)) == CHAT
    assert await position(api, bruno) == "1.4"


async def test_an_unknown_outcome_carries_the_id_and_a_retry_makes_it_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An id that may pass as fresh is answered two seconds later.
    monkeypatch.setattr(api.parts.log, "makes_fresh_ids", lambda: False)
    bruno = await api.sign_in("bruno")
    message = await sent(api, bruno)
    append = api.parts.log.append

    async def unanswered(*arguments: Any) -> Any:
        await append(*arguments)
        raise OutcomeUnknown("not acknowledged in time")

    monkeypatch.setattr(api.parts.log, "append", unanswered)
    path = f"{PATH}/{message}"
    for method, body in (("PATCH", {"content": "second"}), ("DELETE", None)):
        monkeypatch.setattr(api.parts.log, "append", unanswered)
        answer = await api.gateway.request(method, path, json=body, headers=bruno)
        assert answer.status_code == 503
        problem = answer.json()
        assert problem["type"] == "/problems/outcome-unknown"
        assert "change_id" in problem["detail"]
        monkeypatch.setattr(api.parts.log, "append", append)
        own = problem["change_id"]
        key = bruno | ({} if body else {"Idempotency-Key": own})
        sends = body and {**body, "change_id": own}
        again = await api.gateway.request(method, path, json=sends, headers=key)
        assert await done(api, again) == own
    assert await position(api, bruno) == "1.2"


@pytest.mark.thorough
async def test_a_message_is_edited_at_most_so_often(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    message = await sent(api, bruno)
    for n in range(EDITS_MAX):
        await edit(api, bruno, message, f"edit {n}")
    answer = await api.gateway.patch(f"{PATH}/{message}", json={"content": "x"}, headers=bruno)
    assert answer.status_code == 409
    assert len((await api.gateway.get(f"{PATH}/{message}/edits", headers=bruno)).json()) == 101


async def test_a_new_text_keeps_the_rules_of_a_message(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    message = await sent(api, bruno)
    for content in ("", " ", "x" * 10_001, "\x00", None):
        answer = await api.gateway.patch(
            f"{PATH}/{message}", json={"content": content}, headers=bruno
        )
        assert answer.status_code == 422, content
    await edit(api, bruno, message, "e\u0301")
    assert (await api.history(bruno))[0]["content"] == "\u00e9"


async def test_a_kept_page_ends_with_a_change(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    message = await sent(api, bruno)
    for number, content in enumerate(["second", "third"], start=1):
        for _ in range(2):
            await api.history(bruno)
        await edit(api, bruno, message, content)
        assert (await api.history(bruno))[0]["content"] == content
        assert await position(api, bruno) == f"1.{number}"


async def test_a_change_is_announced_by_numbers_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = await api.sign_in("bruno")
    message = await sent(api, bruno)
    heard: list[object] = []
    announce = api.parts.feed.announce

    async def listening(events: Any) -> None:
        heard.extend(events)
        await announce(events)

    monkeypatch.setattr(api.parts.feed, "announce", listening)
    await edit(api, bruno, message, "second")
    await delete(api, bruno, message)
    async with asyncio.timeout(5):
        while len(heard) < 2:
            await asyncio.sleep(0.001)
    assert heard == [MessageChanged(CHAT, 1, 1), MessageChanged(CHAT, 1, 2)]  # type: ignore[arg-type]


@pytest.mark.parametrize("spelling", ["at_least={}", "at%5Fleast={}", "limit=50&at_least={}"])
async def test_a_page_that_is_older_than_a_position_is_not_used(
    api: Api, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    """A page that was kept from before change 1 must not be given to who knows of change 1."""
    bruno = await api.sign_in("bruno")
    message = await sent(api, bruno)
    query = "?" + spelling.format("1.1")
    await api.history(bruno)
    assert await position(api, bruno, query) == "1.0"  # it is what there is
    # The announcement is late: nothing supersedes what is cached.
    monkeypatch.setattr(api.parts.feed, "announce", lambda _: asyncio.sleep(0))
    await edit(api, bruno, message, "second")
    assert await position(api, bruno) == "1.0"
    assert (await api.history(bruno, query))[0]["content"] == "second"
    assert await position(api, bruno, query) == "1.1"
    await sent(api, bruno)
    newest = await api.gateway.get(f"{PATH}{query}&limit=1", headers=bruno)
    assert "at_least=1.1" in newest.links["prev"]["url"]
    assert (await api.gateway.get(f"{PATH}?at_least=1", headers=bruno)).status_code == 422
