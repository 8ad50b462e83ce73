"""The commands of a user in a script, against the product."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.running import CHAT, Running, call, until
from tests.terminal.people import Person, command_line, variables

pytestmark = pytest.mark.slow


@pytest.fixture
def bruno(running: Running, tmp_path: Path) -> Person:
    return Person(running, tmp_path / "bruno")


def test_a_script_signs_in_sends_and_reads(running: Running, bruno: Person) -> None:
    assert "nobody is signed in" in bruno.refused(3, "whoami")
    assert "bruno cannot sign in: " in bruno.refused(
        3, "login", "bruno", "--password-stdin", stdin="wrong"
    )
    (signed_in,) = bruno.sign_in().rows("whoami")
    assert (signed_in["username"], signed_in["url"]) == ("bruno", running.gateway)

    (group,) = bruno.rows("group", "create", "Equipe de sempre", "ana")
    key, name = group["conversation_id"], "equipe de SEMPRE"
    sent = [
        *bruno.rows("send", name, "one"),
        *bruno.rows("send", key, "-", stdin="two\nlines 🎉\n\n"),
        *bruno.rows("send", name, stdin="three"),
        *bruno.rows("send", name, "four", "--reply-to", "2", "--mention", "ana"),
    ]
    assert {one["conversation_id"] for one in sent} == {key}

    def history(*options: str) -> list[object]:
        return [row["content"] for row in bruno.rows("history", key, *options)]

    until(lambda: len(history()) == 4)
    found = bruno.rows("history", name)
    assert [one["message_id"] for one in found] == [one["message_id"] for one in sent]
    assert [one["content"] for one in found] == ["one", "two\nlines 🎉", "three", "four"]
    assert found[3]["reply_to"]["seq"] == 2
    assert found[3]["mentions"] == ["ana"]
    assert history("-n", "2") == ["three", "four"]
    assert history("--before", "3", "-n", "1") == ["two\nlines 🎉"]
    assert history("--after", "1", "-n", "2") == ["two\nlines 🎉", "three"]

    ana = Person(running, bruno.folder.parent / "ana", "ana").sign_in()

    def unread() -> dict[str, int]:
        rows = ana.rows("conversations", "--unread")
        return {one["conversation_id"]: one["unread"] for one in rows}

    assert unread()[key] == 4
    assert ana.rows("read", key) == [{"conversation_id": key, "seq": 4}]
    until(lambda: key not in unread())


def test_members_come_and_go(running: Running, bruno: Person, tmp_path: Path) -> None:
    user = {"username": "carla", "email": "c@example.com", "password": "uma senha longa"}
    assert call("POST", f"{running.gateway}/v1/users", user)[0] == 201
    bruno.sign_in().rows("group", "create", "Outra")
    assert len(bruno.rows("group", "add", "Outra", "ana", "carla", "--role", "admin")) == 2
    told = bruno.refused(1, "group", "add", "Outra", "nobody-of-this-name")
    assert told == "chat4all: nobody-of-this-name was not added: username: no such user\n"
    bruno.rows("group", "remove", "Outra", "ana")
    roles = {one["username"]: one["role"] for one in bruno.rows("group", "members", "Outra")}
    assert roles == {"bruno": "owner", "carla": "admin"}
    carla = Person(running, tmp_path / "carla", "carla").sign_in(password=user["password"])
    carla.rows("group", "remove", "Outra", "carla")
    assert "you are in no conversation named Outra" in carla.refused(4, "history", "Outra")


def test_a_conversation_is_named_in_one_way_or_refused(running: Running, bruno: Person) -> None:
    bruno.sign_in()
    ids = [bruno.rows("group", "create", "Igual")[0]["conversation_id"] for _ in range(2)]
    told = bruno.refused(4, "send", "igual", "to whom?")
    assert all(key in told for key in ids)
    assert "@NAME" in bruno.refused(4, "send", "ana", "the first time")
    (called_ana,) = bruno.rows("group", "create", "Ana")
    told = bruno.refused(4, "send", "ana", "a secret")
    assert "@ana" in told
    assert called_ana["conversation_id"] in told
    (sent,) = bruno.rows("send", "@ana", "the first time")
    assert bruno.rows("send", "ana", "again")[0]["conversation_id"] == sent["conversation_id"]
    assert "no such" in bruno.refused(1, "send", "@nobody-of-this-name", "x")
    assert bruno.refused(4, "history", str(uuid4()))
    assert "content: " in bruno.refused(1, "send", CHAT, stdin="\n")
    assert "--id is a UUID" in bruno.refused(2, "send", CHAT, "x", "--id", "1")


def test_the_same_id_is_there_once(bruno: Person) -> None:
    key = str(uuid4())
    bruno.sign_in().rows("group", "create", "Uma vez")
    for _ in range(2):
        assert bruno.rows("send", "Uma vez", "x", "--id", key)[0]["message_id"] == key
    bruno.rows("send", "Uma vez", "last")
    until(lambda: bruno.rows("history", "Uma vez")[-1:] != [])
    until(lambda: bruno.rows("history", "Uma vez")[-1]["content"] == "last")
    assert [one["content"] for one in bruno.rows("history", "Uma vez")] == ["x", "last"]


def test_commands_that_run_at_once_share_one_session(running: Running, bruno: Person) -> None:
    bruno.sign_in()
    before = json.loads(bruno.tokens().read_text())
    bruno.tokens().write_text(json.dumps(before | {"access_token": "x", "ends_at": 0}))
    with ThreadPoolExecutor(5) as threads:
        found = list(threads.map(lambda _: bruno.run_apart("whoami").returncode, range(5)))
    assert found == [0] * 5
    after = json.loads(bruno.tokens().read_text())
    assert after["refresh_token"] != before["refresh_token"]
    # A token that ends before its time is refused, and renewed as well.
    bruno.tokens().write_text(json.dumps(after | {"access_token": "x"}))
    assert bruno.rows("whoami")[0]["username"] == "bruno"


def test_signing_out_ends_the_session_here_and_there(running: Running, bruno: Person) -> None:
    bruno.sign_in()
    kept = json.loads(bruno.tokens().read_text())
    bruno.sign_in()
    form = {"grant_type": "refresh_token", "refresh_token": kept["refresh_token"]}
    assert call("POST", f"{running.gateway}/token", form=form)[0] == 400, "it was replaced"
    kept = json.loads(bruno.tokens().read_text())
    bruno.rows("logout")
    assert bruno.kept() == {}
    form["refresh_token"] = kept["refresh_token"]
    assert call("POST", f"{running.gateway}/token", form=form)[0] == 400
    assert bruno.refused(3, "logout").startswith("chat4all: nobody is signed in")


def test_a_session_that_was_ended_elsewhere_is_told(running: Running, bruno: Person) -> None:
    bruno.sign_in()
    access = json.loads(bruno.tokens().read_text())["access_token"]
    assert call("POST", f"{running.gateway}/v1/logout", token=access)[0] == 204
    until(lambda: bruno.run("whoami").returncode == 3)
    assert "the session of bruno at " in bruno.refused(3, "whoami")
    bruno.rows("logout")


def test_secrets_are_seen_nowhere(running: Running, bruno: Person) -> None:
    secret = "uma senha que ninguém vê"
    user = {"username": "diego", "email": "d@example.com", "password": secret}
    assert call("POST", f"{running.gateway}/v1/users", user)[0] == 201
    diego = Person(running, bruno.folder.parent / "diego", "diego").sign_in(password=secret)
    tokens = [json.loads(diego.tokens().read_text())]
    diego.tokens().write_text(json.dumps(tokens[0] | {"ends_at": 0}))
    diego.rows("group", "create", "Segredos")
    tokens.append(json.loads(diego.tokens().read_text()))
    with diego.started("tail", "--no-follow") as process:
        seen = command_line(process.pid) + variables(process.pid)
        assert process.communicate(timeout=60)[1] == ""
    diego.refused(4, "send", "nothing", "x")
    seen += "".join(diego.printed) + running.log()
    for text in [secret, *(one[k] for one in tokens for k in ("access_token", "refresh_token"))]:
        assert text not in seen
    assert secret not in "".join(diego.kept().values())
    for path in [diego.folder / "chat4all", *(diego.folder / "chat4all").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
