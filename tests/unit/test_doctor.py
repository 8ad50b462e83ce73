"""`chat4all doctor`: every fault that it looks for, constructed."""

import asyncio
import http.server
import json
import os
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from chat4all.adapters.crypto import rotate_secret
from chat4all.adapters.embedded import DataFolder
from chat4all.adapters.embedded.folder import STAGING
from chat4all.adapters.embedded.inspecting import look_at_pair
from chat4all.adapters.installation import MARKER
from chat4all.doctor.cluster.installation import Cluster
from chat4all.doctor.cluster.secrets import secrets
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.one_machine import (
    CHECKS,
    OneMachine,
    clock,
    files,
    pair,
    passwords,
    secret,
    services,
)
from chat4all.doctor.one_machine.folder import data_folder, disk_space, installation
from chat4all.doctor.one_machine.installation import FILES
from chat4all.doctor.runner import Check, run
from chat4all.settings import Settings
from chat4all.wire.health import DependencyHealth, Readiness
from tests.faults.running import free_ports
from tests.folders import POISON, change, make_folder
from tests.records import record
from tests.unit.test_backup import names
from tests.unit.test_commands import chat4all


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data", [record("a"), record("b")])


def found(
    check: Check[OneMachine],
    folder: Path,
    *,
    held: bool = False,
    deep: bool = False,
    **settings: Any,
) -> list[Finding]:
    return asyncio.run(run(check, OneMachine(Settings(data=folder, **settings), held, deep)))


def the_one(findings: list[Finding], status: Status) -> Finding:
    """Return the one finding that is this bad; none is worse."""
    (finding,) = [f for f in findings if f.status is status]
    assert status is Status.PROBLEM or all(f.status is not Status.PROBLEM for f in findings)
    assert finding.says
    return finding


def well(findings: list[Finding]) -> bool:
    return bool(findings) and all(f.status is Status.OK for f in findings)


def ports() -> dict[str, Any]:
    one, two = free_ports(2)
    return {"port": one, "metadata_port": two}


def as_options(**ports: int) -> list[str]:
    return [part for name, n in ports.items() for part in (f"--{name.replace('_', '-')}", str(n))]


# The command as a whole.


def test_all_is_well_and_nothing_is_changed(data: Path) -> None:
    before = {name: (data / name).read_bytes() for name in names(data)}
    result = chat4all("doctor", "--data", data, *as_options(**ports()))
    assert result.exit_code == 0, result.output
    assert "Problems: 0" in result.stdout
    # SQLite itself puts -wal and -shm beside what it reads.
    assert {name for name in names(data) if not name.endswith(("-wal", "-shm"))} == set(before)
    assert {name: (data / name).read_bytes() for name in before} == before
    deep = chat4all("doctor", "--deep", "--json", "--data", data, *as_options(**ports()))
    assert deep.exit_code == 0
    report = json.loads(deep.stdout)
    assert report["ok"] is True
    assert {"files", "log and store", "dead letters"} <= {c["check"] for c in report["checks"]}
    assert any("integrity_check" in c["says"] for c in report["checks"])


def test_what_is_wrong_makes_it_fail(data: Path) -> None:
    change(data / "log.db", "UPDATE info SET log_id = 'another'")
    result = chat4all("doctor", "--json", "--data", data, *as_options(**ports()))
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["ok"] is False
    (problem,) = [c for c in report["checks"] if c["status"] == "problem"]
    assert problem["check"] == "log and store"
    result = chat4all("doctor", "--data", data, *as_options(**ports()))
    assert result.exit_code == 1
    assert "do not belong together" in result.stdout
    assert "Problems: 1" in result.stdout


def test_settings_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT4ALL_PORT", "none")
    result = chat4all("doctor")
    assert result.exit_code == 1
    assert "CHAT4ALL_PORT is not usable" in result.stdout


def test_no_check_fails_on_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = chat4all("doctor", "--data", tmp_path / "missing", *as_options(**ports()))
    assert result.exit_code == 0, result.output
    assert "is not there yet" in result.stdout
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("check", CHECKS)
def test_no_check_fails_on_files_that_are_rubbish(tmp_path: Path, check: Check[OneMachine]) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes(b"rubbish" * 1000)
    for finding in found(check, tmp_path, host="0.0.0.0", **ports()):
        assert finding.says


# The folder.


def test_a_folder_and_its_faults(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert well(found(data_folder, data))
    data.chmod(0o750)
    assert "other users" in the_one(found(data_folder, data), Status.PROBLEM).says
    data.chmod(0o700)
    (data / "metadata.db").chmod(0o640)
    assert "metadata.db can be read" in the_one(found(data_folder, data), Status.PROBLEM).says
    (data / "metadata.db").chmod(0o600)
    (data / STAGING).mkdir()
    assert "was cut off" in the_one(found(data_folder, data), Status.PROBLEM).says
    (data / STAGING).rmdir()
    (tmp_path / "empty").mkdir(mode=0o700)
    assert "no data" in the_one(found(data_folder, tmp_path / "empty"), Status.WARNING).says
    (tmp_path / "file").touch()
    assert "no folder" in the_one(found(data_folder, tmp_path / "file"), Status.PROBLEM).says
    with monkeypatch.context() as patch:  # by a flag, because root may write anywhere
        patch.setattr(os, "access", lambda *_: False)
        assert "cannot be written" in the_one(found(data_folder, data), Status.PROBLEM).says
        missing = tmp_path / "missing"
        assert "cannot be made" in the_one(found(data_folder, missing), Status.PROBLEM).says
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: data.stat().st_uid + 1)
        other = the_one(found(data_folder, data), Status.PROBLEM)
        assert "another user than you" in other.says


@pytest.mark.parametrize("lost", [FILES, *((name,) for name in FILES), (MARKER,)])
def test_a_folder_that_lost_parts(data: Path, lost: Sequence[str]) -> None:
    for name in lost:
        (data / name).unlink()
    assert well(found(data_folder, data))  # it has data, or had
    for part in lost:
        assert part in the_one(found(installation, data), Status.PROBLEM).says
    missing = [f for f in found(files.files, data) if f.status is Status.PROBLEM]
    assert len(missing) == len({*lost} - {MARKER})


def test_files_of_different_users(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.stat

    def stat(path: Path, **more: Any) -> os.stat_result:
        seen = real(path, **more)
        if path.name != "store.db":
            return seen
        return os.stat_result((*seen[:4], seen.st_uid + 1, *seen[5:]))

    monkeypatch.setattr(Path, "stat", stat)
    assert "different users" in the_one(found(data_folder, data), Status.PROBLEM).says


def test_a_secret_and_its_faults(data: Path) -> None:
    assert well(found(secret.secret_key, data))
    assert well(found(secret.secret_key, data, secret_key="x" * 32))
    short = found(secret.secret_key, data, secret_key="short")
    assert "SECRET_KEY has 5 bytes" in the_one(short, Status.PROBLEM).says
    (data / "secret-key").chmod(0o644)
    assert "other users" in the_one(found(secret.secret_key, data), Status.PROBLEM).says
    (data / "secret-key").chmod(0o600)
    (data / "secret-key").write_text("short")
    assert "not whole" in the_one(found(secret.secret_key, data), Status.PROBLEM).says
    (data / "secret-key").unlink()
    the_one(found(secret.secret_key, data), Status.WARNING)
    assert not (data / "secret-key").exists()


def test_a_key_that_is_accepted_and_its_faults(data: Path) -> None:
    long, short = "y" * 32, f"{'y' * 32},short"
    for key in (None, "x" * 32):
        keys: dict[str, Any] = {"secret_key": key, "secret_keys_accepted": long}
        assert well(found(secret.secret_key, data, **keys))
        keys["secret_keys_accepted"] = short
        refused = the_one(found(secret.secret_key, data, **keys), Status.PROBLEM)
        assert "a key of SECRET_KEYS_ACCEPTED has 5 bytes" in refused.says
    missing = found(secret.secret_key, data / "missing", secret_keys_accepted=short)
    assert "SECRET_KEYS_ACCEPTED" in the_one(missing, Status.PROBLEM).says
    assert not (data / "missing").exists()

    rotate_secret(data / "secret-key")
    assert well(found(secret.secret_key, data))
    previous = data / "secret-key.previous"
    previous.chmod(0o644)
    refused = the_one(found(secret.secret_key, data), Status.PROBLEM)
    assert f"{previous} can be read by other users" in refused.says
    assert "the tokens that it signed are no longer good then" in refused.says


def test_keys_of_a_cluster_and_their_faults() -> None:
    def found_in(**settings: Any) -> list[Finding]:
        usable = {"secret_key": "x" * 32, "service_credential": "c" * 32}
        return asyncio.run(run(secrets, Cluster(Settings(**usable | settings), (), Mock())))

    assert well(found_in(secret_keys_accepted="y" * 32))
    assert "SECRET_KEY has 5" in the_one(found_in(secret_key="short"), Status.PROBLEM).says
    refused = the_one(found_in(secret_keys_accepted="short"), Status.PROBLEM)
    assert "a key of SECRET_KEYS_ACCEPTED has 5 bytes" in refused.says


@pytest.mark.parametrize(
    ("free", "status"), [(1, Status.PROBLEM), (500 * 2**20, Status.WARNING), (2**40, Status.OK)]
)
def test_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: Status) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "MiB are free" in the_one(found(disk_space, tmp_path), status).says


@pytest.mark.parametrize(
    ("version", "bad"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((3, 53, 0), False),
    ],
)
def test_which_sqlite_has_the_wal_reset_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], bad: bool
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    the_one(found(files.sqlite_library, tmp_path), Status.WARNING if bad else Status.OK)


# The files.


@pytest.mark.parametrize("name", FILES)
def test_a_file_and_its_faults(data: Path, name: str) -> None:
    assert well(found(files.files, data))
    newer = (
        "UPDATE alembic_version SET version_num = '9999'"
        if name == "metadata.db"
        else "PRAGMA user_version = 99"
    )
    whole = (data / name).read_bytes()
    change(data / name, newer)
    problem = the_one(found(files.files, data), Status.PROBLEM)
    assert f"{name} was written by a newer Chat4All" in problem.says
    (data / name).write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    assert name in the_one(found(files.files, data), Status.PROBLEM).says
    (data / name).write_bytes(b"no database" * 1000)
    assert "not a database" in the_one(found(files.files, data), Status.PROBLEM).says
    (data / name).unlink()
    assert f"{name} is missing" in the_one(found(files.files, data), Status.PROBLEM).says
    assert not (data / name).exists()


def test_a_file_of_an_older_release_is_no_problem(data: Path) -> None:
    change(data / "store.db", "PRAGMA user_version = 1")
    older = the_one(found(files.files, data), Status.WARNING)
    assert "store.db is of version 1" in older.says


def test_a_file_that_takes_too_long_to_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        "INSERT INTO records (key, value, appended_ms) "
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
        "SELECT 'k', 'v', 1 FROM n"
    )
    change(data / "log.db", rows)
    monkeypatch.setattr(files, "QUICK_SECONDS", -1)
    warning = the_one(found(files.files, data), Status.WARNING)
    assert "log.db is too large" in warning.says
    assert well(found(files.files, data, deep=True))


def test_a_log_and_a_store_that_are_no_pair(data: Path) -> None:
    assert well(found(pair.log_and_store, data))
    for statement, says in [
        ('UPDATE followed_log SET "offset" = 3', "log.db is older"),
        ('UPDATE followed_log SET "offset" = 0', None),
        ("UPDATE followed_log SET log_id = 'another'", "do not belong together"),
    ]:
        change(data / "store.db", statement)
        findings = found(pair.log_and_store, data)
        assert well(findings) if says is None else says in the_one(findings, Status.PROBLEM).says


def test_a_gap_between_log_and_store(data: Path) -> None:
    change(data / "store.db", 'UPDATE followed_log SET "offset" = 0')
    change(data / "log.db", 'DELETE FROM records WHERE "offset" = 1')
    gap = the_one(found(pair.log_and_store, data), Status.PROBLEM)
    assert "begins at 2, but store.db has stored up to 0" in gap.says


def test_a_router_that_is_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path / "data", [record("a"), record("b")], routed=False)
    behind = the_one(found(pair.backlog, folder), Status.WARNING)
    assert "not stored yet: 2" in behind.says
    monkeypatch.setattr(pair, "PROGRESS_SECONDS", 0.05)
    stuck = the_one(found(pair.backlog, folder, held=True), Status.PROBLEM)
    assert "does not go on" in stuck.says
    # One that goes on: the store is further when it is looked at again.
    real = look_at_pair

    def look(folder: Path) -> Any:
        pair = real(folder)
        change(folder / "store.db", 'UPDATE followed_log SET "offset" = "offset" + 1')
        return pair

    monkeypatch.setattr(pair, "PROGRESS_SECONDS", 30)
    monkeypatch.setattr(pair, "look_at_pair", look)
    assert "goes on" in the_one(found(pair.backlog, folder, held=True), Status.OK).says


def test_dead_letters(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", [POISON, POISON])
    assert "replayed: 2" in the_one(found(pair.dead_letters, folder), Status.WARNING).says
    change(folder / "store.db", "UPDATE dead_letters SET replayed_ms = 1")
    assert well(found(pair.dead_letters, folder))


def test_a_clock_that_is_wrong(data: Path) -> None:
    assert well(found(clock.clock, data))
    change(data / "log.db", "UPDATE records SET appended_ms = appended_ms + 3600000")
    assert "in the future" in the_one(found(clock.clock, data), Status.PROBLEM).says


# What runs.


@contextmanager
def answering(port: int, status: int, body: object) -> Iterator[None]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = json.dumps(body).encode()
            self.send_response(200 if self.path == "/health" else status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def readiness(**errors: str | None) -> object:
    parts = {name: DependencyHealth("x", 0.1, error) for name, error in errors.items()}
    return msgspec.to_builtins(Readiness("x", parts))


def test_services_that_run(data: Path) -> None:
    at = ports()
    assert found(services.services, data, **at) == []
    silent = found(services.services, data, held=True, **at)
    assert [f.status for f in silent] == [Status.PROBLEM, Status.PROBLEM]
    assert all("does not answer" in f.says for f in silent)
    good = readiness(log=None)
    with answering(at["port"], 200, good), answering(at["metadata_port"], 200, good):
        assert well(found(services.services, data, held=True, **at))
        assert well(found(services.services, data, held=True, host="0.0.0.0", **at))
    bad = readiness(log=None, router="the router has stopped: why")
    with answering(at["port"], 503, bad), answering(at["metadata_port"], 200, good):
        stopped = the_one(found(services.services, data, held=True, **at), Status.PROBLEM)
        assert "the gateway" in stopped.says
        assert "the router has stopped: why" in stopped.says
    with answering(at["port"], 200, ["else"]), answering(at["metadata_port"], 200, good):
        other = the_one(found(services.services, data, held=True, **at), Status.PROBLEM)
        assert "as Chat4All does" in other.says


def test_ports_that_are_used(data: Path) -> None:
    at = ports()
    assert well(found(services.ports, data, **at))
    assert found(services.ports, data, held=True, **at) == []
    with closing(socket.create_server(("127.0.0.1", at["metadata_port"]))):
        used = the_one(found(services.ports, data, **at), Status.PROBLEM)
    assert "metadata" in used.says
    assert "--metadata-port" in str(used.do)


def test_a_folder_in_use_is_seen_as_such(data: Path) -> None:
    at = as_options(**ports())
    with DataFolder(data):
        result = chat4all("doctor", "--data", data, *at)
    assert result.exit_code == 1
    assert "a process has the data folder, but the gateway" in result.stdout


def test_demonstration_passwords_within_everybodys_reach(data: Path) -> None:
    check = passwords.demonstration_passwords
    assert found(check, data, host="127.0.0.1") == []
    assert well(found(check, data, host="0.0.0.0"))
    # The password "test", at bcrypt's least cost.
    known = "CAST('$2b$04$abcdefghijklmnopqrstuuoD8yw7MmybLKVooaTGGZAt3HXugv2.a' AS BLOB)"
    change(
        data / "metadata.db",
        "INSERT INTO users (username, email, email_key, created_at, password_hash) "
        f"VALUES ('ana', 'ana@example.com', 'ana@example.com', 'x', {known})",
    )
    assert "everybody knows" in the_one(found(check, data, host="0.0.0.0"), Status.PROBLEM).says
