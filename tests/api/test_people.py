"""Users, conversations, members and who may do what."""

import asyncio
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from chat4all.adapters.sql import outbox
from chat4all.domain.errors import StartRefused
from tests.api.conftest import CHAT, Api, running

pytestmark = pytest.mark.anyio


async def test_signing_up_keeps_the_rules(api: Api) -> None:
    good = {"username": "carla", "email": "carla@example.com", "password": "long enough"}
    for change, pointer in [
        ({"username": "Carla"}, "/username"),
        ({"username": "c"}, "/username"),
        ({"username": "deleted-1"}, "/username"),
        ({"email": "nobody"}, "/email"),
        ({"password": "short"}, "/password"),
        ({"password": "x" * 73}, "/password"),
        ({"password": "é" * 37}, "/password"),
        ({"password": "with a \0 in it"}, "/password"),
    ]:
        answer = await api.metadata.post("/v1/users", json=good | change)
        assert answer.status_code == 422, change
        assert [e["pointer"] for e in answer.json()["errors"]] == [pointer]
        assert "password" not in change or change["password"] not in answer.text
    answer = await api.metadata.post("/v1/users", json=good | {"password": "é" * 36})
    assert answer.status_code == 201
    assert set(answer.json()) == {"username", "email", "created_at", "display_name"}
    for taken in [good | {"email": "x@example.com"}, good | {"username": "x1"}]:
        assert (await api.metadata.post("/v1/users", json=taken)).status_code == 409
    await api.sign_in("carla", "é" * 36)


async def test_unknown_user_and_wrong_password_get_the_same_answer(api: Api) -> None:
    answers = [
        await api.gateway.post("/token", data={"username": name, "password": "wrong"})
        for name in ("bruno", "nobody")
    ]
    assert {a.status_code for a in answers} == {401}
    bodies = [a.json() for a in answers]
    for body in bodies:
        del body["request_id"]
    assert bodies[0] == bodies[1]


async def test_signing_out_ends_the_token_at_once(api: Api) -> None:
    bruno, other = await api.sign_in("bruno"), await api.sign_in("bruno")
    await api.history(bruno)
    assert (await api.gateway.post("/v1/logout", headers=bruno)).status_code == 204
    path = f"/v1/conversations/{CHAT}/messages"
    assert (await api.gateway.get(path, headers=bruno)).status_code == 401
    assert (await api.gateway.get(path, headers=other)).status_code == 200


async def test_a_stranger_learns_nothing(api: Api) -> None:
    carla, nowhere = await api.sign_up("carla"), str(uuid.uuid4())
    for method, path, body in [
        ("GET", "/v1/conversations/{}", None),
        ("GET", "/v1/conversations/{}/messages", None),
        ("GET", "/v1/conversations/{}/messages/" + nowhere, None),
        ("POST", "/v1/conversations/{}/members", {"username": "carla"}),
        ("POST", "/v1/conversations/{}/read", {"seq": 0}),
    ]:
        seen = []
        for chat in (CHAT, nowhere):
            answer = await api.gateway.request(method, path.format(chat), json=body, headers=carla)
            problem = answer.json()
            assert problem.pop("request_id")
            assert problem.pop("instance") == path.format(chat)
            seen.append((answer.status_code, problem))
        assert seen[0] == seen[1]
        assert seen[0][0] == 404
    for chat in (CHAT, nowhere):
        body = {"chat_id": chat, "content": "x"}
        answer = await api.gateway.post("/v1/messages", json=body, headers=carla)
        assert answer.status_code == 404


async def test_a_group_and_who_may_let_people_in(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    carla = await api.sign_up("carla")
    created = await api.gateway.post(
        "/v1/conversations",
        json={"type": "group", "title": "Equipe", "members": ["ana", "ana", "bruno"]},
        headers=bruno,
    )
    assert created.status_code == 201
    group = created.json()
    path = f"/v1/conversations/{group['conversation_id']}"
    assert created.headers["Location"] == path
    assert group["members"] == [
        {"username": "ana", "role": "member"},
        {"username": "bruno", "role": "owner"},
    ]

    async def add(who: dict[str, str], **body: str) -> int:
        answer = await api.gateway.post(f"{path}/members", json=body, headers=who)
        return answer.status_code

    # Asked first, so that a cached "no" would show.
    assert (await api.gateway.get(f"{path}/messages", headers=carla)).status_code == 404
    assert await add(ana, username="carla") == 403
    assert await add(carla, username="carla") == 404
    assert await add(bruno, username="nobody") == 422
    assert await add(bruno, username="carla", role="admin") == 201
    assert await add(bruno, username="carla") == 409
    assert (await api.gateway.get(f"{path}/messages", headers=carla)).status_code == 200
    await api.sign_up("davi")
    assert await add(carla, username="davi", role="admin") == 403
    assert await add(carla, username="davi") == 201
    assert (await api.metadata.get(path, headers=ana)).json()["title"] == "Equipe"


async def test_a_pair_has_one_private_conversation_however_many_start_it(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    answers = await asyncio.gather(
        *[
            api.gateway.post(
                "/v1/conversations", json={"type": "private", "members": [other]}, headers=who
            )
            for who, other in [(bruno, "ana"), (ana, "bruno")] * 10
        ]
    )
    assert sorted(a.status_code for a in answers) == [200] * 19 + [201]
    assert len({a.json()["conversation_id"] for a in answers}) == 1
    path = f"/v1/conversations/{answers[0].json()['conversation_id']}"
    body = {"username": "ana"}
    assert (await api.gateway.post(f"{path}/members", json=body, headers=bruno)).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"type": "private", "members": []},
        {"type": "private", "members": ["bruno"]},
        {"type": "private", "members": ["ana", "carla"]},
        {"type": "private", "members": ["ana"], "title": "x"},
        {"type": "private", "members": ["nobody"]},
        {"type": "group", "members": ["nobody"]},
        {"type": "channel", "members": ["ana"]},
        {"type": "group", "members": ["ana"], "title": "x" * 201},
    ],
)
async def test_conversations_that_cannot_be(api: Api, body: dict[str, object]) -> None:
    bruno = await api.sign_in("bruno")
    answer = await api.gateway.post("/v1/conversations", json=body, headers=bruno)
    assert answer.status_code == 422


async def test_a_client_cannot_choose_a_conversation_id(api: Api) -> None:
    bruno, chosen = await api.sign_in("bruno"), str(uuid.uuid4())
    body = {"type": "group", "members": [], "conversation_id": chosen}
    answer = await api.gateway.post("/v1/conversations", json=body, headers=bruno)
    assert answer.json().get("conversation_id") != chosen


async def test_a_first_start_that_was_cut_off_is_still_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("chat4all.adapters.sql.SqlDirectory.add_conversation", cut_off)
        with pytest.raises(ZeroDivisionError):
            async with running(tmp_path / "data", new=True):
                pass
    async with running(tmp_path / "data", new=True) as api:
        assert await api.history(await api.sign_in("ana")) == []


@pytest.mark.thorough
async def test_demonstration_data_is_made_once_and_only_where_nobody_else_comes(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "data", new=True) as api:
        assert api.parts.has_demo
        bruno = await api.sign_in("bruno")
        await api.send(bruno)
        await api.routed()
    async with running(tmp_path / "data") as api:
        assert not api.parts.has_demo
        assert len(await api.history(bruno)) == 1  # the same secret: still signed in
    with pytest.raises(StartRefused, match="everybody knows"):
        async with running(tmp_path / "data", host="0.0.0.0"):
            pass
    async with running(tmp_path / "other", new=True, host="0.0.0.0") as api:
        assert not api.parts.has_demo
    async with running(tmp_path / "none", new=True, demo=False) as api:
        answer = await api.gateway.post("/token", data={"username": "bruno", "password": "test"})
        assert answer.status_code == 401


async def test_the_outbox_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one machine nobody reads it; the demonstration data's entries are dropped at once here."""
    monkeypatch.setattr(outbox, "KEPT_SECONDS", -1)
    async with running(tmp_path), asyncio.timeout(10):
        with closing(sqlite3.connect(tmp_path / "metadata.db")) as db:
            assert db.execute("SELECT count(*) FROM users").fetchone() == (2,)
            while db.execute("SELECT count(*) FROM outbox").fetchone() != (0,):
                await asyncio.sleep(0.01)
