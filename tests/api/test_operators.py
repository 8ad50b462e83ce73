"""`chat4all users`, in another process, while Chat4All runs and while it does not."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection

from chat4all.adapters.crypto import BcryptPasswords
from chat4all.adapters.sql.engine import Database
from chat4all.cli import main
from chat4all.commands import users
from chat4all.domain.errors import OutcomeUnknown
from chat4all.terminal.failing import OUTCOME_UNKNOWN
from tests.api.conftest import CHAT, ROUNDS, Api, running
from tests.folders import change

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands hash as the system under test does."""
    monkeypatch.setattr(users, "BcryptPasswords", partial(BcryptPasswords, rounds=ROUNDS))


def command(folder: Path, *arguments: str, stdin: str | None = None) -> Result:
    given = ["users", *arguments, "--data", str(folder)]
    return CliRunner().invoke(main, given, input=stdin)


async def done(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    result = await asyncio.to_thread(command, folder, *arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


async def refused(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    result = await asyncio.to_thread(command, folder, *arguments, stdin=stdin)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("chat4all: ")
    return line


@pytest.mark.parametrize("action", ["disable", "enable"])
async def test_what_may_have_been_done_is_not_told_as_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    folder, write = tmp_path / "data", Database.write

    async def lost(database: Database, work: Callable[[Connection], object]) -> None:
        await write(database, work)
        raise OutcomeUnknown("metadata.db does not answer")

    async with running(folder):
        pass
    with monkeypatch.context() as patched:
        patched.setattr(Database, "write", lost)
        result = await asyncio.to_thread(command, folder, action, "ana")
    assert (result.exit_code, result.stdout) == (OUTCOME_UNKNOWN, "")
    assert result.stderr == (
        "chat4all: metadata.db does not answer: it may have been done; "
        "look before you do it again\n"
    )
    assert (await entries(folder, "--of", "ana"))[0]["action"] == f"user-{action}d"


async def entries(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    text = await done(folder, "audit", "--json", *arguments)
    return [json.loads(line) for line in text.splitlines()]


async def until_refused(api: Api, who: dict[str, str]) -> None:
    """Return once a user is signed out, which takes 5 s at most."""
    async with asyncio.timeout(5):
        while (await api.gateway.get("/v1/me", headers=who)).status_code != 401:
            await asyncio.sleep(0.01)


async def test_a_disabled_user_is_out_while_it_runs_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
        await api.history(ana)
        assert "5 s" in await done(folder, "disable", "ana")
        await until_refused(api, ana)
        form = {"username": "ana", "password": "test"}
        assert (await api.gateway.post("/token", data=form)).status_code == 401
        found = await api.gateway.get("/v1/users?query=a", headers=bruno)
        assert found.json() == []
        # She is still a member: whoever comes back finds all as it was.
        path = f"/v1/conversations/{CHAT}/members"
        assert len((await api.gateway.get(path, headers=bruno)).json()) == 2
        await done(folder, "enable", "ana")
        await api.history(await api.sign_in("ana"))


async def test_a_user_is_created_although_sign_up_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    password = "uma senha longa"
    async with running(folder, sign_up="closed") as api:
        new = ("create", "carla", "--email", "carla@example.com", "--password-stdin")
        await done(folder, *new, "--display-name", "Carla B", stdin=f"{password}\n")
        carla = await api.sign_in("carla", password)
        me = (await api.gateway.get("/v1/me", headers=carla)).json()
        assert (me["display_name"], me["email"]) == ("Carla B", "carla@example.com")
        assert "taken" in await refused(folder, *new, stdin=f"{password}\n")
        for same in ("carla@EXAMPLE.com", "Carla <carla@example.com>", " carla@example.com "):
            other = ("create", "davi", "--email", same, "--password-stdin")
            assert "in use" in await refused(folder, *other, stdin=f"{password}\n")
        await done(folder, "passwd", "carla", "--password-stdin", stdin="another long one\n")
        await until_refused(api, carla)
        await api.sign_in("carla", "another long one")


@pytest.mark.thorough
async def test_it_works_while_nothing_runs_and_is_noted(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        bruno = await api.sign_in("bruno")
        await api.sign_up("carla")
        path = f"/v1/conversations/{CHAT}/members"
        await api.gateway.post(path, json={"username": "carla"}, headers=bruno)
        await api.gateway.patch(f"{path}/carla", json={"role": "admin"}, headers=bruno)
    await done(folder, "disable", "carla")
    shown = await done(folder, "list")
    assert [line.split()[0] for line in shown.splitlines()] == ["ana", "bruno", "carla"]
    assert shown.splitlines()[2].endswith("(disabled)")
    (one,) = map(json.loads, (await done(folder, "list", "--query", "CAR", "--json")).splitlines())
    assert (one["username"], one["disabled"]) == ("carla", True)
    await done(folder, "passwd", "carla", "--password-stdin", stdin="another long one\n")
    found = await entries(folder, "--of", "carla")
    assert [(e["actor"], e["action"], e["username"]) for e in found] == [
        ("operator", "password-changed", "carla"),
        ("operator", "user-disabled", "carla"),
        ("bruno", "role-given", "carla"),
        ("bruno", "member-added", "carla"),
        ("carla", "signed-in", "carla"),
        ("carla", "user-created", "carla"),
    ]
    assert found[2]["details"] == {"role": "admin", "before": "member"}
    assert found[2]["conversation_id"] == CHAT
    assert "another long one" not in await done(folder, "audit")
    assert [e["action"] for e in await entries(folder, "--of", "ana")] == ["user-created"]
    assert len(await entries(folder, "--limit", "1")) == 1


TAKEN = "ana@example.com"


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("disable", "nobody"), None, "no such user"),
        (("passwd", "ana", "--password-stdin"), "short\n", "8 characters"),
        (("create", "Ana", "--email", "a@x.org", "--password-stdin"), "long enough\n", "username"),
        (("create", "davi", "--email", "nobody", "--password-stdin"), "long enough\n", "--email"),
        (
            ("create", "davi", "--email", "ana@example.com", "--password-stdin"),
            "long enough\n",
            "in use",
        ),
    ],
)
async def test_what_cannot_be_done_is_said(
    tmp_path: Path, arguments: tuple[str, ...], stdin: str | None, said: str
) -> None:
    folder = tmp_path / "data"
    async with running(folder):
        line = await refused(folder, *arguments, stdin=stdin)
    assert said in line
    assert stdin is None or stdin.strip() not in line


async def test_another_releases_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder):
        pass
    change(folder / "metadata.db", "UPDATE alembic_version SET version_num = '0001'")
    assert "another release" in await refused(folder, "list")
    (folder / "metadata.db").unlink()
    assert "metadata.db is missing" in await refused(folder, "list")
    assert "no data" in await refused(tmp_path / "nowhere", "list")
