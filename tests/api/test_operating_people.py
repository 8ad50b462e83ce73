"""`chat4all users delete|export` and `chat4all groups`, while Chat4All runs and while not."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chat4all.adapters.embedded import EmbeddedStore
from chat4all.adapters.embedded.inspecting import NEWEST
from chat4all.adapters.sql import SqlUploads
from chat4all.cli import main
from chat4all.domain.ids import ConversationId, Username
from chat4all.operations import cluster, written
from chat4all.settings import load_settings
from tests.api.conftest import CHAT, Api, running
from tests.contract.test_uploads import FACTS, FREE, new_upload, whole
from tests.databases import place_at

pytestmark = pytest.mark.anyio

NOT_THERE = "7f1c2d9e-5f0b-4c57-9a1e-3f2b8d6c4a10"


async def command(folder: Path, *arguments: str, stdin: str | None = None) -> Result:
    given = [*arguments, "--data", str(folder)]
    return await asyncio.to_thread(CliRunner().invoke, main, given, input=stdin)


async def done(folder: Path, *arguments: str) -> str:
    result = await command(folder, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def refused(folder: Path, *arguments: str) -> str:
    result = await command(folder, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    return line


async def roles(api: Api, who: dict[str, str]) -> dict[str, str]:
    answer = await api.gateway.get(f"/v1/conversations/{CHAT}/members", headers=who)
    return {one["username"]: one["role"] for one in answer.json()}


async def test_an_export_has_all_that_is_kept_and_no_secret(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
        edited = await api.send(ana, "first")
        for content in ("one", 'two \u00e9\n"three"'):
            await api.send(ana, content)
        anothers = await api.send(bruno, "not hers")
        other = {"type": "group", "title": "Left", "members": ["ana"]}
        answer = await api.gateway.post("/v1/conversations", json=other, headers=bruno)
        left = answer.json()["conversation_id"]
        await api.send(ana, "in a group that she left", chat_id=left)
        path = f"/v1/conversations/{left}/members/ana"
        assert (await api.gateway.delete(path, headers=ana)).status_code == 204
        await api.routed()
        messages = f"/v1/conversations/{CHAT}/messages"
        for answer in (
            await api.gateway.patch(
                f"{messages}/{edited}", json={"content": "second"}, headers=ana
            ),
            await api.gateway.put(f"{messages}/{anothers}/reactions/👍", headers=ana),
            await api.gateway.put(f"{messages}/{anothers}/reactions/👎", headers=bruno),
        ):
            assert answer.status_code == 202
        await api.routed()
        while_running = json.loads(await done(folder, "users", "export", "ana"))
    text = await done(folder, "users", "export", "ana")
    found = json.loads(text)
    assert found["audit"].pop(0)["action"] == "user-exported"
    assert found == while_running
    assert found["profile"]["email"] == "ana@example.com"
    assert [one["device"] for one in found["sessions"]] == ["python-httpx/" + _version()]
    assert [(m["conversation_id"], m["role"]) for m in found["memberships"]] == [(CHAT, "member")]
    assert {m["content"] for m in found["messages"]} == {
        "one",
        'two \u00e9\n"three"',
        "in a group that she left",
        "second",
    }
    texts = {m["content"]: m["texts"] for m in found["messages"]}
    assert (texts["one"], texts["second"]) == ([], ["first", "second"])
    assert found["reactions"] == [{"conversation_id": CHAT, "seq": 4, "emoji": "👍"}]
    assert "every conversation" in found["messages_from"]
    assert {m["conversation_id"] for m in found["read_markers"]} == {CHAT, left}
    assert [entry["action"] for entry in found["audit"]] == [
        "user-exported",
        "member-left",
        "signed-in",
        "user-created",
    ]
    for secret in ("hash", "token", "password", "$2b$"):
        assert secret not in text
    without = json.loads(await done(folder, "users", "export", "ana", "--no-messages"))
    assert set(without) == {"profile", "sessions", "memberships", "files", "audit"}
    assert "no such user" in await refused(folder, "users", "export", "nobody")
    noted = (await done(folder, "users", "audit", "--json", "--of", "ana")).splitlines()
    actions = [(entry["actor"], entry["action"]) for entry in map(json.loads, noted)]
    assert actions.count(("operator", "user-exported")) == 3


async def test_an_export_lists_files(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder):
        pass
    async with place_at(folder / "metadata.db") as place:
        uploads, ana = SqlUploads(place.database), Username("ana")
        made = await whole(uploads, ana)
        begun = await uploads.create(new_upload(ana), FREE)
    found = json.loads(await done(folder, "users", "export", "ana", "--no-messages"))
    files = {one["file_id"]: one for one in found["files"]}
    assert set(files) == {made, begun.file_id}
    assert (files[made]["name"], files[made]["size"]) == ("Férias 🎉.png", 10)
    assert (files[made]["state"], files[made]["sha256"]) == ("ready", FACTS.sha256)
    assert (files[begun.file_id]["state"], files[begun.file_id]["received"]) == ("uploading", 0)


async def test_an_export_wants_a_message_store_of_this_release(tmp_path: Path) -> None:
    """Fails when an earlier release's, to which the migrations are still to come, is read."""
    folder = tmp_path / "data"
    async with running(folder):
        pass
    with closing(sqlite3.connect(folder / "store.db")) as db:
        db.execute(f"PRAGMA user_version = {NEWEST['store.db'] - 1}")
    line = await refused(folder, "users", "export", "ana")
    assert line.endswith(
        "store.db is another release's: start this release of Chat4All with it once"
    )
    assert json.loads(await done(folder, "users", "export", "ana", "--no-messages"))["profile"]


async def test_an_export_has_no_address_of_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
        new = {"type": "group", "members": ["ana"]}
        answer = await api.gateway.post("/v1/conversations", json=new, headers=bruno)
        path = f"/v1/conversations/{answer.json()['conversation_id']}/members"
        await api.gateway.patch(f"{path}/ana", json={"role": "owner"}, headers=bruno)
        await api.gateway.patch(f"{path}/bruno", json={"role": "member"}, headers=ana)
    await done(folder, "users", "enable", "ana")
    found = json.loads(await done(folder, "users", "export", "ana", "--no-messages"))["audit"]
    whose = {
        (e["actor"], e["action"]): (bool(e["address"]), bool(e["session_id"]), e["operator"])
        for e in found
    }
    assert whose[("operator", "user-enabled")] == (False, False, None)
    assert whose[("bruno", "role-given")] == (False, False, None)
    assert whose[("ana", "role-given")] == (True, True, None)


def _version() -> str:
    import httpx  # noqa: PLC0415 - for its version

    return httpx.__version__


async def test_in_a_cluster_messages_are_those_of_the_users_conversations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port is Cassandra's, here on a file; pages are smaller than the history."""
    folder = tmp_path / "data"
    async with running(folder) as api:
        ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
        sent = [await api.send(ana if n % 3 else bruno, str(n)) for n in range(7)]
        await api.routed()
        path = f"/v1/conversations/{CHAT}/messages"
        body = {"content": "edited"}
        answers = [
            await api.gateway.patch(f"{path}/{sent[1]}", json=body, headers=ana),
            await api.gateway.put(f"{path}/{sent[6]}/reactions/👍", headers=ana),
            await api.gateway.put(f"{path}/{sent[5]}/reactions/👍", headers=bruno),
        ]
        assert [answer.status_code for answer in answers] == [202] * 3
        more = {"kind": "custom", "payload": {"a": [1]}, "mentions": ["bruno"]}
        await api.send(ana, "7", reply_to=sent[0], **more)
        await api.routed()

    @asynccontextmanager
    async def stored(_: object) -> AsyncIterator[EmbeddedStore]:
        store = EmbeddedStore(folder / "store.db")
        await store.open()
        yield store
        await store.close()

    monkeypatch.setattr(cluster, "stored_history", stored)
    monkeypatch.setattr(written, "PAGE", 2)
    found = written.InCluster(load_settings().cassandra)
    hers, chat = Username("ana"), ConversationId(CHAT)
    messages = [one async for one in found.messages(hers, [chat])]
    assert [(one["seq"], one["content"]) for one in messages] == [
        (number + 1, "edited" if number == 1 else str(number)) for number in range(8) if number % 3
    ]
    assert [one["texts"] for one in messages[:2]] == [["1", "edited"], []]
    assert [one async for one in found.reactions(hers, [chat])] == [
        {"conversation_id": CHAT, "seq": 7, "emoji": "👍"}
    ]
    assert set(messages[0]) == {
        "conversation_id",
        "seq",
        "message_id",
        "content",
        "created_at",
        "edited_at",
        "deleted_at",
        "texts",
        "kind",
        "payload",
        "reply_to_seq",
        "mentions",
    }
    said = {"payload": {"a": [1]}, "reply_to_seq": 1, "mentions": ("bruno",), "kind": "custom"}
    for place in (found, written.InFolder(folder)):
        *_, last = [one async for one in place.messages(hers, [chat])]
        assert {name: last[name] for name in said} == said
    assert [one["read_seq"] async for one in found.markers(hers, [chat])] == [8]
    assert [one async for one in found.messages(hers, [])] == []


async def test_a_deleted_user_is_erased(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        ana = await api.sign_in("ana")
        kept = await command(folder, "users", "delete", "bruno", stdin="n\n")
        assert kept.exit_code == 1
        assert "bruno" in await roles(api, ana)
        told = await done(folder, "users", "delete", "bruno", "--yes")
        assert "deleted-" in told
        async with asyncio.timeout(5):
            while await roles(api, ana) != {"ana": "owner"}:
                await asyncio.sleep(0.01)
        form = {"username": "bruno", "password": "test"}
        assert (await api.gateway.post("/token", data=form)).status_code == 401
    assert "no such user" in await refused(folder, "users", "delete", "bruno", "--yes")
    audit = await done(folder, "users", "audit", "--json")
    assert json.loads(audit.splitlines()[0])["action"] == "user-erased"


async def test_a_group_whose_owner_is_disabled_is_handed_over(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        ana = await api.sign_in("ana")
        assert await done(folder, "groups", "list") == ""
        told = await done(folder, "users", "disable", "bruno")
        assert "chat4all groups hand-over" in told
        assert (await done(folder, "groups", "list")).split()[0] == CHAT
        (listed,) = (await done(folder, "groups", "list", "--json")).splitlines()
        assert json.loads(listed) == {"conversation_id": CHAT, "title": "Demonstration"}
        assert (await done(folder, "groups", "show", CHAT)).splitlines()[1:] == [
            "ana  member",
            "bruno  owner  (disabled)",
        ]
        await done(folder, "groups", "hand-over", CHAT.upper(), "ana")
        async with asyncio.timeout(5):
            while await roles(api, ana) != {"ana": "owner", "bruno": "member"}:
                await asyncio.sleep(0.01)
        assert await done(folder, "groups", "list") == ""
    shown = json.loads(await done(folder, "groups", "show", CHAT, "--json"))
    assert shown["members"][1] == {"username": "bruno", "role": "member", "disabled": True}
    entries = (await done(folder, "users", "audit", "--json", "--of", "ana")).splitlines()
    (entry,) = (line for line in entries if "group-handed-over" in line)
    assert json.loads(entry)["action"] == "group-handed-over"
    assert not any("role-given" in line for line in entries)
    newest = (await done(folder, "users", "audit", "--json", "--of", "bruno")).splitlines()[0]
    demoted = json.loads(newest)
    assert (demoted["action"], demoted["actor"]) == ("role-given", "operator")
    assert demoted["conversation_id"] == CHAT
    assert demoted["details"] == {"role": "member", "before": "owner"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", NOT_THERE), "no such conversation"),
        (("show", "x"), "a UUID"),
        (("hand-over", NOT_THERE, "ana"), "no such conversation"),
        (("hand-over", CHAT, "nobody"), "no such member"),
        (("hand-over", CHAT, "ana"), "disabled"),
    ],
)
async def test_what_cannot_be_done_with_a_group_is_said(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    folder = tmp_path / "data"
    async with running(folder):
        await done(folder, "users", "disable", "ana")
    assert said in await refused(folder, "groups", *arguments)
