"""`Idempotency-Key`: what creates may be repeated (draft-ietf-httpapi-idempotency-key-header)."""

import asyncio
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat4all.adapters.crypto import BcryptPasswords
from chat4all.adapters.sql import SqlDirectory, SqlUsers
from chat4all.domain.errors import OutcomeUnknown
from tests.api.conftest import CHAT, Api, running

pytestmark = pytest.mark.anyio

CARLA = {"username": "carla", "email": "carla@example.com", "password": "long enough"}
MEMBERS = f"/v1/conversations/{CHAT}/members"


def with_key(headers: dict[str, str] | None = None, key: str = "") -> dict[str, str]:
    return {**(headers or {}), "Idempotency-Key": key or str(uuid.uuid4())}


async def group(
    api: Api, headers: dict[str, str], body: dict[str, Any] | None = None
) -> httpx.Response:
    given = body or {"type": "group", "title": "Equipe", "members": ["ana"], "metadata": {"b": "1"}}
    return await api.gateway.post("/v1/conversations", json=given, headers=headers)


async def count(api: Api, who: dict[str, str]) -> int:
    return len((await api.gateway.get("/v1/conversations", headers=who)).json())


def same(one: httpx.Response, other: httpx.Response) -> bool:
    return (one.status_code, one.content) == (other.status_code, other.content)


@pytest.mark.parametrize("service", ["gateway", "metadata"])
async def test_a_group_is_created_once(api: Api, service: str) -> None:
    bruno = await api.sign_in("bruno")
    before = await count(api, bruno)
    headers = with_key(bruno)
    client = getattr(api, service)
    body = {"type": "group", "title": "Equipe", "members": ["ana"], "metadata": {"z": "", "a": ""}}
    first = await client.post("/v1/conversations", json=body, headers=headers)
    assert first.status_code == 201
    # What became of it since does not matter.
    changed = {"title": "Another"}
    await client.patch(first.headers["Location"], json=changed, headers=bruno)
    again = await client.post("/v1/conversations", json=body, headers=headers)
    assert same(first, again)
    assert again.headers["Location"] == first.headers["Location"]
    assert await count(api, bruno) == before + 1
    # Keys are one's own.
    other = await group(api, with_key(await api.sign_in("ana"), headers["Idempotency-Key"]))
    assert other.status_code == 201
    assert other.json()["conversation_id"] != first.json()["conversation_id"]


async def test_another_request_is_refused(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    await api.sign_up("carla")
    headers = with_key(bruno)
    assert (await group(api, headers)).status_code == 201
    for answer in (
        await group(api, headers, {"type": "group", "members": ["ana"]}),
        await api.gateway.post(MEMBERS, json={"username": "carla"}, headers=headers),
    ):
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["pointer"] == "/header/Idempotency-Key"


async def test_a_pair_is_created_once(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    headers, body = with_key(bruno), {"type": "private", "members": ["ana"]}
    first = await group(api, headers, body)
    assert first.status_code == 201
    assert same(first, await group(api, headers, body))
    assert (await group(api, bruno, body)).status_code == 200


async def test_a_member_is_let_in_once(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    carla = await api.sign_up("carla")
    headers, body = with_key(bruno), {"username": "carla"}

    async def add() -> httpx.Response:
        return await api.gateway.post(MEMBERS, json=body, headers=headers)

    first = await add()
    assert first.status_code == 201
    assert same(first, await add())
    # Whoever left meanwhile does not come back by a repetition.
    assert (await api.gateway.delete(f"{MEMBERS}/carla", headers=carla)).status_code == 204
    assert same(first, await add())
    assert len((await api.gateway.get(MEMBERS, headers=bruno)).json()) == 2


async def test_who_may_not_any_more_is_refused(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    await api.sign_up("carla")
    await api.gateway.patch(f"{MEMBERS}/ana", json={"role": "admin"}, headers=bruno)
    headers, body = with_key(ana), {"username": "carla"}
    assert (await api.gateway.post(MEMBERS, json=body, headers=headers)).status_code == 201
    await api.gateway.patch(f"{MEMBERS}/ana", json={"role": "member"}, headers=bruno)
    assert (await api.gateway.post(MEMBERS, json=body, headers=headers)).status_code == 403
    creating = with_key(bruno)
    created = await group(api, creating)
    await api.gateway.delete(created.headers["Location"], headers=bruno)
    assert (await group(api, creating)).status_code == 404


async def test_a_sign_up_is_repeated_with_the_same_password(api: Api) -> None:
    headers = with_key()

    async def sign_up(**change: str) -> httpx.Response:
        return await api.metadata.post("/v1/users", json=CARLA | change, headers=headers)

    first = await sign_up()
    assert first.status_code == 201
    assert same(first, await sign_up())
    assert (await sign_up(password="another long one")).status_code == 422
    assert (await sign_up(email="x@example.com")).status_code == 422
    assert (await sign_up(username="carla2", email="c2@example.com")).status_code == 201
    without = await api.metadata.post("/v1/users", json=CARLA)
    assert without.status_code == 409
    assert (await api.metadata.post("/v1/users", json=CARLA, headers=with_key())).status_code == 409


async def test_nothing_to_guess_a_password_from_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as api:
        first = await api.metadata.post("/v1/users", json=CARLA, headers=with_key())
        second = {**CARLA, "username": "davi", "email": "d@example.com", "password": "x" * 20}
        await api.metadata.post("/v1/users", json=second, headers=with_key())
        assert first.status_code == 201
    with closing(sqlite3.connect(tmp_path / "data" / "metadata.db")) as file:
        kept = list(file.execute("SELECT * FROM creations"))
    assert len(kept) == 2
    assert all(CARLA["password"] not in str(row) for row in kept)


async def test_one_that_is_in_flight_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    hashing, go = asyncio.Event(), asyncio.Event()
    original = BcryptPasswords.hash

    async def stopping(passwords: BcryptPasswords, password: str) -> bytes:
        hashing.set()
        await go.wait()
        return await original(passwords, password)

    monkeypatch.setattr(BcryptPasswords, "hash", stopping)
    headers = with_key()
    first = asyncio.create_task(api.metadata.post("/v1/users", json=CARLA, headers=headers))
    async with asyncio.timeout(10):
        await hashing.wait()
    assert (await api.metadata.post("/v1/users", json=CARLA, headers=headers)).status_code == 409
    go.set()
    assert (await first).status_code == 201
    assert same(await first, await api.metadata.post("/v1/users", json=CARLA, headers=headers))


@pytest.mark.thorough
async def test_many_at_once_create_one(api: Api) -> None:
    """Through two services, neither of which knows what the other has in flight."""
    bruno = await api.sign_in("bruno")
    before, headers = await count(api, bruno), with_key(bruno)
    body = {"type": "group", "members": ["ana"]}
    answers = await asyncio.gather(
        *[
            client.post("/v1/conversations", json=body, headers=headers)
            for client in (api.gateway, api.metadata) * 10
        ]
    )
    assert {a.status_code for a in answers} <= {201, 409}
    created = {a.content for a in answers if a.status_code == 201}
    assert len(created) == 1
    assert await count(api, bruno) == before + 1


@pytest.mark.parametrize(
    ("written", "good"),
    [
        ("{}", True),
        ('"{}"', True),
        (" {} ", True),
        ('"{}', False),
        ("{}, {}", False),
        ("'{}'", False),
        ("x", False),
        ("", False),
        ("{}0", False),
    ],
)
async def test_how_a_key_is_written(api: Api, written: str, good: bool) -> None:
    bruno, key = await api.sign_in("bruno"), str(uuid.uuid4())
    headers = {**bruno, "Idempotency-Key": written.replace("{}", key)}
    answer = await group(api, headers)
    assert answer.status_code == (201 if good else 422)
    if good:
        assert same(answer, await group(api, with_key(bruno, key.upper())))
    else:
        assert [e["pointer"] for e in answer.json()["errors"]] == ["/header/Idempotency-Key"]


async def test_two_keys_are_none(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    headers = [*bruno.items(), *[("Idempotency-Key", str(uuid.uuid4())) for _ in range(2)]]
    body = {"type": "group", "members": ["ana"]}
    answer = await api.gateway.post("/v1/conversations", json=body, headers=headers)
    assert answer.status_code == 422


def _unknown_after(monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> Callable[[], None]:
    """Let a method's work be done and its outcome be unknown, until the returned call."""
    original = getattr(owner, method)

    async def lost(*given: Any, **named: Any) -> Any:
        await original(*given, **named)
        raise OutcomeUnknown("the connection was lost", "the directory does not answer")

    monkeypatch.setattr(owner, method, lost)
    return monkeypatch.undo


@pytest.mark.thorough
@pytest.mark.parametrize("what", ["user", "conversation", "member"])
async def test_an_unknown_outcome_is_found_out_by_repeating(
    api: Api, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    bruno = await api.sign_in("bruno")
    if what == "member":
        await api.sign_up("carla")
    owner, method, path, body = {
        "user": (SqlUsers, "add_user", "/v1/users", CARLA),
        "conversation": (
            SqlDirectory,
            "add_conversation",
            "/v1/conversations",
            {"type": "group", "members": ["ana"]},
        ),
        "member": (SqlDirectory, "add_member", MEMBERS, {"username": "carla"}),
    }[what]
    known = _unknown_after(monkeypatch, owner, method)
    headers = with_key(bruno)
    told = await api.gateway.post(path, json=body, headers=headers)
    assert told.status_code == 503
    assert told.json()["type"] == "/problems/outcome-unknown"
    assert "Idempotency-Key" in told.json()["detail"]
    known()
    again = await api.gateway.post(path, json=body, headers=headers)
    assert again.status_code == 201
    assert same(again, await api.gateway.post(path, json=body, headers=headers))
    assert "message_id" not in told.json()


async def test_the_key_is_described(api: Api) -> None:
    paths = (await api.gateway.get("/openapi.json")).json()["paths"]
    taking = {
        path
        for path, methods in paths.items()
        for operation in methods.values()
        if any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", []))
    }
    assert taking == {
        "/v1/users",
        "/v1/conversations",
        "/v1/conversations/{conversation_id}/members",
        # As the id of a change, where there is no body that has one.
        "/v1/conversations/{conversation_id}/messages/{message_id}",
        "/v1/conversations/{conversation_id}/messages/{message_id}/reactions/{emoji}",
    }
