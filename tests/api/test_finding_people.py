"""Whom a user finds, as the setting says; and groups of as many names as may be given."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chat4all.http.route_limits import DEFAULT_LIMITS, DeclaredLimits
from chat4all.metadata.conversations import conversation_routes
from chat4all.wire.body_sizes import GROUP_BODY_MAX
from tests.api.conftest import CHAT, Api, running

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (
            "everybody",
            {"": "ana bruno carla davi", "c": "carla", "car": "carla", "b": "bruno davi"},
        ),
        (
            "contacts",
            {"": "ana bruno davi", "c": "", "b": "bruno davi", "Carla": "carla"},
        ),
        (
            "nobody",
            {
                "": "",
                "b": "",
                "bruno": "bruno",
                "carla": "carla",
                "carla2": "",
                "CARLA": "carla",
                "\uff23arla": "carla",
            },
        ),
    ],
)
async def test_whom_a_user_finds(tmp_path: Path, search: str, found: dict[str, str]) -> None:
    async with running(tmp_path / "data", user_search=search) as api:
        ana = await api.sign_in("ana")
        await api.sign_up("carla")
        davi = await api.sign_up("davi")
        named = {"display_name": "B, really"}
        await api.gateway.patch("/v1/users/davi", json=named, headers=davi)
        pair = {"type": "private", "members": ["davi"]}
        await api.gateway.post("/v1/conversations", json=pair, headers=ana)
        for client in (api.gateway, api.metadata):
            for query, names in found.items():
                answer = await client.get("/v1/users", params={"query": query}, headers=ana)
                assert [one["username"] for one in answer.json()] == names.split(), query
            assert (await client.get("/v1/users/carla", headers=ana)).status_code == 200


async def test_pages_of_contacts_go_on_where_the_last_one_ended(tmp_path: Path) -> None:
    async with running(tmp_path / "data", user_search="contacts") as api:
        ana = await api.sign_in("ana")
        seen, path = [], "/v1/users?limit=1"
        while path:
            answer = await api.gateway.get(path, headers=ana)
            seen += [one["username"] for one in answer.json()]
            path = answer.links.get("next", {}).get("url", "")
        assert seen == ["ana", "bruno"]


@pytest.mark.thorough
async def test_a_group_of_as_many_names_as_may_be_given(api: Api, tmp_path: Path) -> None:
    names = [f"a-name-of-32-characters-in-{n:05}" for n in range(9_999)]
    assert {len(name) for name in names} == {32}
    with closing(sqlite3.connect(tmp_path / "data" / "metadata.db")) as db:
        db.executemany(
            "INSERT INTO users (username, email, email_key, password_hash, created_at) "
            "VALUES (?, ?, ?, x'', '2026-01-31T12:00:00.000Z')",
            [(name, name, name) for name in names],
        )
        db.commit()
    new = {
        "type": "group",
        "members": names,
        "title": "x" * 200,
        "metadata": {f"{n:064}": "🎉" * 1_000 for n in range(32)},
    }
    bruno = await api.sign_in("bruno")
    made = await api.gateway.post("/v1/conversations", json=new, headers=bruno)
    assert made.status_code == 201, made.text[:500]
    assert len(made.json()["members"]) == 10_000
    # What can be created can be changed.
    path = f"/v1/conversations/{made.json()['conversation_id']}"
    notes = {"metadata": {f"{n:064}": "🎈" * 1_000 for n in range(32)}}
    changed = await api.gateway.patch(path, json=notes, headers=bruno)
    assert changed.status_code == 200, changed.text[:500]
    assert changed.json()["metadata"] == notes["metadata"]
    new["members"] = [*names, "ana"]
    refused = await api.gateway.post("/v1/conversations", json=new, headers=bruno)
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/members"]
    new["title"] = "x" * GROUP_BODY_MAX
    refused = await api.gateway.post("/v1/conversations", json=new, headers=bruno)
    assert (refused.status_code, refused.json()["detail"]) == (
        413,
        f"the body is larger than {GROUP_BODY_MAX // 1024} KiB",
    )


def test_a_large_body_has_the_time_that_its_size_takes() -> None:
    declared = DeclaredLimits([conversation_routes()])
    for method, path in (("POST", "/v1/conversations"), ("PATCH", f"/v1/conversations/{CHAT}")):
        found = declared.of({"type": "http", "method": method, "path": path})
        assert found is not None
        # As fast as any other request must arrive.
        usual = DEFAULT_LIMITS.body / DEFAULT_LIMITS.seconds
        assert found.body / found.seconds <= usual
        assert found.seconds_for([(b"content-length", b"100")]) == DEFAULT_LIMITS.seconds
        for unusual in ([(b"content-length", b"%d" % found.body)], [], [(b"content-length", b"x")]):
            assert found.seconds_for(unusual) == found.seconds
    for method in ("GET", "DELETE"):
        scope = {"type": "http", "method": method, "path": f"/v1/conversations/{CHAT}"}
        assert declared.of(scope) is None
