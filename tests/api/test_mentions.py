"""Mentions: who is mentioned, and which unread messages mention one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chat4all.domain.kinds import MENTIONS_MAX, UNREAD_MENTIONS_MAX
from tests.api.conftest import CHAT, Api, running

pytestmark = pytest.mark.anyio

PATH = f"/v1/conversations/{CHAT}/messages"


async def unread(api: Api, who: dict[str, str]) -> tuple[int, list[int]]:
    (listed,) = (await api.metadata.get("/v1/conversations", headers=who)).json()
    one = (await api.metadata.get(f"/v1/conversations/{CHAT}", headers=who)).json()
    assert one == listed
    return listed["unread"], listed["unread_mentions"]


async def test_unread_mentions_are_the_numbers_of_messages(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    assert await unread(api, ana) == (0, [])
    await api.send(bruno, "1", mentions=["ana"])
    await api.send(bruno, "2")
    await api.send(bruno, "3", mentions=["bruno"])
    await api.send(bruno, "4", mentions=["bruno", "ana", "ana"])
    await api.routed()
    assert await unread(api, ana) == (4, [1, 4])
    assert await unread(api, bruno) == (0, [])  # one's own messages are read
    shown = await api.history(ana)
    assert [one["mentions"] for one in shown] == [["ana"], [], ["bruno"], ["bruno", "ana"]]
    for seq, left in ((1, (3, [4])), (4, (0, []))):
        path = f"/v1/conversations/{CHAT}/read"
        assert (await api.gateway.post(path, json={"seq": seq}, headers=ana)).status_code == 202
        await api.routed()
        assert await unread(api, ana) == left


async def test_a_deletion_takes_the_mentions(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    first = await api.send(bruno, "1", mentions=["ana"])
    await api.send(bruno, "2", mentions=["ana"])
    await api.routed()
    assert (await api.gateway.delete(f"{PATH}/{first}", headers=bruno)).status_code == 202
    await api.routed()
    assert await unread(api, ana) == (2, [2])
    assert [one["mentions"] for one in await api.history(ana)] == [[], ["ana"]]


async def test_only_members_are_mentioned(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    await api.sign_up("carla")
    body = {"chat_id": CHAT, "content": "x", "mentions": ["carla", "ana", "nobody at all"]}
    answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/mentions/0", "/mentions/2"]
    twice = body | {"mentions": ["ana", "ana", "nobody"]}
    answer = await api.gateway.post("/v1/messages", json=twice, headers=bruno)
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/mentions/2"]
    many = body | {"mentions": ["ana"] * (MENTIONS_MAX + 1)}
    answer = await api.gateway.post("/v1/messages", json=many, headers=bruno)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/mentions"]


async def test_the_newest_unread_mentions_are_listed(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    for _ in range(UNREAD_MENTIONS_MAX + 2):
        await api.send(bruno, mentions=["ana"])
    await api.routed()
    assert await unread(api, ana) == (52, list(range(3, 53)))


async def test_nothing_of_a_deleted_message_is_left_in_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        bruno = await api.sign_in("bruno")
        payload = {"name": "classified"}
        first = await api.send(
            bruno, "classified", kind="contact", payload=payload, mentions=["ana"]
        )
        await api.routed()
        await api.send(bruno, "an answer", reply_to=first)
        await api.routed()
        assert (await api.gateway.delete(f"{PATH}/{first}", headers=bruno)).status_code == 202
        await api.routed()
    with closing(sqlite3.connect(folder / "store.db")) as db:
        dump = "\n".join(db.iterdump())
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert "an answer" in dump
    assert "classified" not in dump
    assert '["ana"]' not in dump
    assert b"classified" not in (folder / "store.db").read_bytes()
