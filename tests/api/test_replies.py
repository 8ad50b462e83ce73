"""Replies: what a message shows of the one that it answers."""

import asyncio
import uuid
from typing import Any

import pytest

from chat4all.ports.store import StoreBatch
from chat4all.usecases import recent, sending
from tests.api.conftest import CHAT, Api

pytestmark = pytest.mark.anyio

PATH = f"/v1/conversations/{CHAT}/messages"


async def answered(api: Api, who: dict[str, str], to: str, content: str = "an answer") -> str:
    message = await api.send(who, content, reply_to=to)
    await api.routed()
    return message


async def test_a_reply_shows_what_it_answers_as_that_is_now(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    first = await api.send(bruno, "first")
    await api.routed()
    reply = await answered(api, ana, first.upper())
    wanted: dict[str, Any] = {
        "seq": 1,
        "message_id": first,
        "sender_id": "bruno",
        "kind": "text",
        "content": "first",
        "deleted": False,
    }
    for change in (
        None,
        ("PATCH", {"content": "é" * 300}, {"content": "é" * 200}),
        ("DELETE", None, {"content": "", "deleted": True}),
    ):
        if change is not None:
            method, body, more = change
            # Pages that are cached must not outlive what they show.
            assert (await api.history(bruno))[1]["reply_to"] == wanted
            done = await api.gateway.request(method, f"{PATH}/{first}", json=body, headers=bruno)
            assert done.status_code == 202
            await api.routed()
            wanted |= more
        shown = (await api.history(ana))[1]
        assert shown["reply_to"] == wanted
        assert (await api.gateway.get(f"{PATH}/{reply}", headers=bruno)).json() == shown
        (listed,) = (await api.metadata.get("/v1/conversations", headers=ana)).json()
        assert listed["last_message"] == shown
        assert (await api.history(bruno, "?after=1"))[0]["reply_to"] == wanted
    assert "first" not in (await api.gateway.get(PATH, headers=ana)).text


async def test_what_is_not_in_the_conversation_cannot_be_answered(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    made = await api.metadata.post(
        "/v1/conversations", json={"type": "group", "members": ["ana"]}, headers=bruno
    )
    other = made.json()["conversation_id"]
    elsewhere = await api.send(bruno, chat_id=other)
    await api.routed()
    for unknown in (elsewhere, str(uuid.uuid4()), "x"):
        body = {"chat_id": CHAT, "content": "x", "reply_to": unknown}
        answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/reply_to"]
    assert await api.history(bruno) == []


async def test_a_reply_right_after_the_202_waits_until_that_is_stored(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for number in range(5):
        first = await api.send(bruno, f"text {number}")
        await api.send(bruno, "an answer", reply_to=first)
    await api.routed()
    shown = await api.history(bruno)
    assert [one["reply_to"] and one["reply_to"]["seq"] for one in shown] == [
        None, 1, None, 3, None, 5, None, 7, None, 9,
    ]  # fmt: skip


async def test_a_reply_to_what_is_not_stored_in_time_is_to_be_tried_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    monkeypatch.setattr(sending, "STORED_SECONDS", 0.02)
    write, stored = api.parts.store.write, asyncio.Event()

    async def held(batch: StoreBatch) -> None:
        await stored.wait()
        await write(batch)

    monkeypatch.setattr(api.parts.store, "write", held)
    first = await api.send(bruno)
    body = {"chat_id": CHAT, "content": "x", "reply_to": first}
    answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
    assert answer.status_code == 503
    assert uuid.UUID(answer.json()["message_id"])
    # Nobody else can have seen it.
    answer = await api.gateway.post("/v1/messages", json=body, headers=ana)
    assert answer.status_code == 422
    stored.set()
    await api.routed()
    assert (await api.gateway.post("/v1/messages", json=body, headers=ana)).status_code == 202


async def test_a_reply_to_what_another_gateway_accepted_waits_for_a_moment(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    monkeypatch.setattr(sending, "ELSEWHERE_SECONDS", 10)
    first = str(uuid.uuid4())
    body = {"chat_id": CHAT, "content": "x", "reply_to": first}
    reply = asyncio.create_task(api.gateway.post("/v1/messages", json=body, headers=ana))
    await api.send(bruno, message_id=first)
    await api.routed()
    assert (await reply).status_code == 202


async def test_what_was_accepted_is_so_again_after_whom_it_mentions_has_left(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = await api.sign_in("bruno")
    first = await api.send(bruno)
    reply = str(uuid.uuid4())
    body = {"message_id": reply, "chat_id": CHAT, "content": "x", "mentions": ["ana"]}
    for _ in range(2):  # from what was just accepted, then from the store
        answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
        assert (answer.status_code, answer.json()["message_id"]) == (202, reply)
        await api.routed()
        removed = f"/v1/conversations/{CHAT}/members/ana"
        assert (await api.metadata.delete(removed, headers=bruno)).status_code in {204, 404}
        monkeypatch.setattr(recent, "RECENT_SECONDS", 0)
    answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
    assert answer.status_code == 202
    answer = await api.gateway.post(
        "/v1/messages", json=body | {"message_id": str(uuid.uuid4())}, headers=bruno
    )
    assert answer.status_code == 422
    assert [one["message_id"] for one in await api.history(bruno)] == [first, reply]


async def test_of_two_messages_with_one_id_ones_own_is_answered(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    both = str(uuid.uuid4())
    for who in (bruno, ana):
        await api.send(who, "first", message_id=both)
    await api.routed()
    await answered(api, ana, both)
    await answered(api, bruno, both)
    shown = (await api.history(ana))[2:]
    assert [one["reply_to"]["sender_id"] for one in shown] == ["ana", "bruno"]


async def test_erased_users_are_named_by_their_alias_in_replies_and_mentions(api: Api) -> None:
    bruno, carla = await api.sign_in("bruno"), await api.sign_up("carla")
    added = await api.metadata.post(
        f"/v1/conversations/{CHAT}/members", json={"username": "carla"}, headers=bruno
    )
    assert added.status_code == 201
    first = await api.send(carla, "first")
    await api.routed()
    reply = await api.send(bruno, "an answer", reply_to=first, mentions=["ana", "carla"])
    await api.routed()
    assert (await api.metadata.delete("/v1/users/carla", headers=carla)).status_code == 204
    # Neither is its sender on this page.
    async with asyncio.timeout(5):
        while "carla" in str(await api.history(bruno, "?after=1")):
            await asyncio.sleep(0.02)
    (shown,) = await api.history(bruno, "?after=1")
    alias = shown["reply_to"]["sender_id"]
    assert alias.startswith("deleted-")
    assert shown["mentions"] == ["ana", alias]
    assert (await api.gateway.get(f"{PATH}/{reply}", headers=bruno)).json() == shown
    (listed,) = (await api.metadata.get("/v1/conversations", headers=bruno)).json()
    assert listed["last_message"] == shown
