"""The operator's commands next to the real process: dead letters, doctor, backup under load."""

import json
import resource
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.checker import check_history
from tests.faults.clients import acknowledged, clients_of
from tests.faults.running import CHAT, PRODUCT, Running, call, environment, until
from tests.folders import POISON
from tests.forked import run_command
from tests.records import record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def chat4all(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return run_command([*map(str, arguments)], environment(), stdin)


def doctor(running: Running) -> subprocess.CompletedProcess[str]:
    at = ("--port", running.port, "--metadata-port", running.metadata_port)
    return chat4all("doctor", "--data", running.folder / "data", *at)


def letters(data: Path) -> list[dict[str, Any]]:
    result = chat4all("dead-letters", "list", "--json", "--data", data)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def test_a_backup_under_load_has_all_that_was_acknowledged_before(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    clients = clients_of(running)
    for client in clients:
        client.start()
    try:
        until(lambda: acknowledged(clients) >= 500)
        before = {client.sender: list(client.acknowledged) for client in clients}
        made = chat4all("backup", tmp_path / "backup", "--data", tmp_path / "data")
        assert made.returncode == 0, made.stderr
        # It came about while they were sending, and they went on.
        during = acknowledged(clients)
        assert during > sum(map(len, before.values()))
        until(lambda: acknowledged(clients) > during)
    finally:
        for client in clients:
            client.stop()
        running.kill()
    assert [client.wrong for client in clients] == [[] for _ in clients]

    (tmp_path / "again").mkdir()
    put_back = chat4all("restore", tmp_path / "backup", "--data", tmp_path / "again" / "data")
    assert put_back.returncode == 0, put_back.stderr
    again = Running(tmp_path / "again").start()
    try:
        end = json.loads((tmp_path / "backup" / "manifest.json").read_bytes())["end"]
        assert end >= sum(map(len, before.values()))
        tokens = [again.token("bruno"), again.token("ana")]
        until(lambda: _stored(tmp_path / "again" / "data") >= end)
        count = len(again.history(tokens[0]))
        sent = {c.sender: replace(c.sent, acknowledged=before[c.sender]) for c in clients}
        check_history(CHAT, sent, [again.history(token) for token in tokens])
        body = {"chat_id": CHAT, "content": "after the restore"}
        assert call("POST", f"{again.gateway}/v1/messages", body, tokens[0])[0] == 202
        until(lambda: len(again.history(tokens[0])) > count)
        last = again.history(tokens[1])[-1]
        assert (last["seq"], last["content"]) == (count + 1, "after the restore")
        assert doctor(again).returncode == 0
    finally:
        again.kill()


def _stored(data: Path) -> int:
    with closing(sqlite3.connect(data / "store.db")) as db:
        return int(db.execute('SELECT "offset" FROM followed_log').fetchone()[0])


def test_the_running_router_stores_a_replay_by_itself_and_once(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    data = tmp_path / "data"
    try:
        token = running.token("bruno")

        def send(content: str) -> None:
            body = {"chat_id": CHAT, "content": content}
            assert call("POST", f"{running.gateway}/v1/messages", body, token)[0] == 202

        def contents() -> list[str]:
            return [m["content"] for m in running.history(token)]

        send("before")
        with closing(sqlite3.connect(data / "log.db", isolation_level=None)) as db:
            db.execute(
                "INSERT INTO records (key, value, appended_ms) VALUES (?, ?, 1)", (CHAT, POISON)
            )
        send("after")
        until(lambda: contents() == ["before", "after"])
        until(lambda: len(letters(data)) == 1)
        position = letters(data)[0]["position"]
        warned = doctor(running)
        assert warned.returncode == 0, warned.stdout
        assert "dead letters that were not replayed: 1" in warned.stdout
        corrected = record("corrected", chat=CHAT, sender="ana").decode()
        replay = ("dead-letters", "replay", position, "--value", "-", "--data", data)
        for more in ((), ("--again",)):
            result = chat4all(*replay, *more, stdin=corrected)
            assert result.returncode == 0, result.stderr
        until(lambda: contents() == ["before", "after", "corrected"])
        send("later")
        until(lambda: len(contents()) >= 4)
        assert contents() == ["before", "after", "corrected", "later"]
        assert [m["seq"] for m in running.history(token)] == [1, 2, 3, 4]
        assert "none waits" in doctor(running).stdout
    finally:
        running.kill()
    # And while it does not run.
    assert letters(data)[0]["replayed_as"] is not None


def test_a_destination_that_takes_no_more_leaves_nothing(tmp_path: Path) -> None:
    Running(tmp_path).start().kill()

    def little_room() -> None:
        # Enough to read a database: SQLite makes a file of 32 KiB beside it.
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    (tmp_path / "there").mkdir()
    result = subprocess.run(
        [*PRODUCT, "backup", tmp_path / "there" / "backup", "--data", tmp_path / "data"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
        preexec_fn=little_room,
    )
    assert result.returncode == 1
    progress, line = result.stderr.splitlines()
    assert progress.startswith("copying")
    assert line.startswith("chat4all: the backup was not made")
    assert not list((tmp_path / "there").iterdir())


def test_doctor_sees_what_the_process_itself_complains_of(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    try:
        well = doctor(running)
        assert well.returncode == 0, well.stdout
        with closing(sqlite3.connect(tmp_path / "data" / "log.db", isolation_level=None)) as db:
            db.execute(
                "INSERT INTO records (key, value, appended_ms) VALUES (?, ?, 1)",
                (CHAT, record("of a later release", v=3)),
            )
        until(lambda: call("GET", f"{running.gateway}/health/ready")[0] == 503)
        result = doctor(running)
        assert result.returncode == 1
        assert "the router has stopped: a record of version 3" in result.stdout
        assert "the router does not go on" in result.stdout
    finally:
        running.kill()
