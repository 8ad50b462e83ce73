"""Text from clients: kept in one form, refused alike on every route, served as it is stored."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from chat4all.adapters.crypto import BcryptPasswords
from chat4all.adapters.sql import Database, upgrade
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.records import MessageRecord
from chat4all.domain.times import now_utc
from chat4all.wire.records import encode_record
from tests.api.conftest import CHAT, Api

pytestmark = pytest.mark.anyio

DECOMPOSED, COMPOSED = "contrasen\u0303a", "contrase\u00f1a"


async def change(api: Api, who: dict[str, str], name: str, **fields: Any) -> Any:
    return await api.metadata.patch(f"/v1/users/{name}", json=fields, headers=who)


async def test_texts_are_kept_in_normal_form(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    await api.send(bruno, f"{DECOMPOSED}\n\t👩‍💻")
    await api.routed()
    assert (await api.history(bruno))[-1]["content"] == f"{COMPOSED}\n\t👩‍💻"
    named = await change(api, bruno, "bruno", display_name=f"{DECOMPOSED} 👩‍💻")
    assert named.json()["display_name"] == f"{COMPOSED} 👩‍💻"
    new = {
        "type": "group",
        "members": ["ana"],
        "title": DECOMPOSED,
        "metadata": {DECOMPOSED: f"{DECOMPOSED}\nmore", "empty": ""},
    }
    made = (await api.gateway.post("/v1/conversations", json=new, headers=bruno)).json()
    assert made["title"] == COMPOSED
    assert made["metadata"] == {COMPOSED: f"{COMPOSED}\nmore", "empty": ""}


@pytest.mark.thorough
@pytest.mark.parametrize("text", ["\0", " ", "\u3164", "\u2800", "a\0", "\u200b", "a\u0085"])
async def test_no_route_takes_controls_or_what_shows_nothing(api: Api, text: str) -> None:
    bruno = await api.sign_in("bruno")
    group = {"type": "group", "members": ["ana"]}
    for method, path, body, pointer in [
        ("POST", "/v1/messages", {"chat_id": CHAT, "content": text}, "/content"),
        ("POST", "/v1/conversations", group | {"title": text}, "/title"),
        ("POST", "/v1/conversations", group | {"metadata": {"k": text}}, "/metadata/k"),
        ("POST", "/v1/conversations", group | {"metadata": {text: "v"}}, f"/metadata/{text}"),
        ("PATCH", f"/v1/conversations/{CHAT}", {"title": text}, "/title"),
        ("PATCH", f"/v1/conversations/{CHAT}", {"metadata": {"k": text}}, "/metadata/k"),
        ("PATCH", "/v1/users/bruno", {"display_name": text}, "/display_name"),
    ]:
        answer = await api.gateway.request(method, path, json=body, headers=bruno)
        assert answer.status_code == 422, (path, body)
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert "Value error" not in answer.text
    found = await api.gateway.get("/v1/users", params={"query": text}, headers=bruno)
    assert [error["pointer"] for error in found.json()["errors"]] == ["/query/query"]


async def test_two_keys_that_are_one_text_are_refused(api: Api) -> None:
    new = {"type": "group", "members": ["ana"], "metadata": {DECOMPOSED: "1", COMPOSED: "2"}}
    bruno = await api.sign_in("bruno")
    answer = await api.gateway.post("/v1/conversations", json=new, headers=bruno)
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/metadata"]


async def test_names_that_nobody_can_have_never_reach_the_database(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for method, path, body in [
        ("GET", "/v1/users/%00", None),
        ("GET", "/v1/users/a%0Ab", None),
        ("DELETE", f"/v1/conversations/{CHAT}/members/%00", None),
        ("POST", f"/v1/conversations/{CHAT}/members", {"username": "\0"}),
        ("POST", "/v1/conversations", {"type": "group", "members": ["\0"]}),
        ("GET", "/v1/users?cursor=AA==", None),
        ("GET", "/v1/conversations?cursor=AA==", None),
    ]:
        answer = await api.metadata.request(method, path, json=body, headers=bruno)
        assert answer.status_code == 422, path
    answer = await api.gateway.post("/token", data={"username": "\0", "password": "test"})
    assert answer.status_code == 401


async def test_what_is_counted_is_the_normal_form(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    await api.send(bruno, "n\u0303" * 10_000)
    body = {"chat_id": CHAT, "content": "n\u0303" * 10_001}
    assert (await api.gateway.post("/v1/messages", json=body, headers=bruno)).status_code == 422
    body = {"chat_id": CHAT, "content": "\u0958" * 5_001}  # two characters each
    assert (await api.gateway.post("/v1/messages", json=body, headers=bruno)).status_code == 422


async def test_what_other_producers_wrote_is_served_as_it_is(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for number, content in enumerate(("\0", DECOMPOSED, " ")):
        id_ = MessageId(f"00000000-0000-4000-8000-00000000000{number}")
        record = MessageRecord(ConversationId(CHAT), id_, Username("bruno"), content, now_utc())
        await api.parts.log.append(ConversationId(CHAT), encode_record(record))
    await api.routed()
    assert [one["content"] for one in await api.history(bruno)] == ["\0", DECOMPOSED, " "]


async def test_users_are_found_in_every_spelling(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    await change(api, bruno, "bruno", display_name="JOSÉ Straße")
    for query in ("josé", "JOSE\u0301 STRASS", "\uff4a\uff4f\uff53é", "jo\u200bsé"):
        found = await api.gateway.get("/v1/users", params={"query": query}, headers=bruno)
        assert [one["username"] for one in found.json()] == ["bruno"], query


async def test_a_password_may_be_typed_on_any_keyboard(api: Api) -> None:
    new = {"username": "carla", "email": "carla@example.com", "password": DECOMPOSED}
    assert (await api.metadata.post("/v1/users", json=new)).status_code == 201
    carla = await api.sign_in("carla", COMPOSED)
    await api.sign_in("carla", DECOMPOSED)
    passwords = {"password": "outra senha longa", "current_password": DECOMPOSED}
    assert (await change(api, carla, "carla", **passwords)).status_code == 200


async def test_a_password_of_an_earlier_release_is_hashed_anew(api: Api, tmp_path: Path) -> None:
    await api.sign_up("carla")
    earlier = bcrypt.hashpw(DECOMPOSED.encode(), bcrypt.gensalt(4))
    with closing(sqlite3.connect(tmp_path / "data" / "metadata.db")) as db:
        db.execute("UPDATE users SET password_hash = ? WHERE username = 'carla'", (earlier,))
        db.commit()
        form = {"username": "carla", "password": COMPOSED}
        assert (await api.gateway.post("/token", data=form)).status_code == 401
        await api.sign_in("carla", DECOMPOSED)
        (now,) = db.execute("SELECT password_hash FROM users WHERE username = 'carla'").fetchone()
        assert bcrypt.checkpw(COMPOSED.encode(), now)
        await api.sign_in("carla", COMPOSED)
        await api.sign_in("carla", DECOMPOSED)


async def test_two_sign_ins_at_once_with_a_password_of_an_earlier_release(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one stores another hash of the same password while the other compares the first."""
    verify = BcryptPasswords.verify
    form = {"username": "bruno", "password": DECOMPOSED}
    earlier = bcrypt.hashpw(DECOMPOSED.encode(), bcrypt.gensalt(4))
    with closing(sqlite3.connect(tmp_path / "data" / "metadata.db")) as db:
        db.execute("UPDATE users SET password_hash = ? WHERE username = 'bruno'", (earlier,))
        db.commit()
    begun, others = 0, []

    async def meanwhile(passwords: BcryptPasswords, password: str, known: bytes | None) -> bool:
        nonlocal begun
        begun += 1
        is_first, is_right = begun == 1, await verify(passwords, password, known)
        if is_first:
            others.append((await api.gateway.post("/token", data=form)).status_code)
        return is_right

    monkeypatch.setattr(BcryptPasswords, "verify", meanwhile)
    assert (await api.gateway.post("/token", data=form)).status_code == 200
    assert others == [200]


async def test_search_keys_of_an_earlier_release_are_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "metadata.db"
    database = Database(path)
    await upgrade(database)
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "INSERT INTO users (username, email, email_key, password_hash, created_at, "
            "display_name, display_key) VALUES ('a', '', '', '', '', ?, ?)",
            ("JOSE\u0301", "jose\u0301"),
        )
        db.execute("UPDATE alembic_version SET version_num = '0004'")
        db.commit()
        await upgrade(database)
        await database.close()
        row = db.execute("SELECT display_name, display_key FROM users").fetchone()
    assert row == ("JOSE\u0301", "jos\u00e9")
