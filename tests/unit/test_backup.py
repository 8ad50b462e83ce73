"""Backup and restore: completely or not at all, and never over newer data."""

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.embedded import DataFolder
from chat4all.adapters.embedded.folder import GENERATION, LOCK, STAGING, generation_of
from chat4all.adapters.installation import MARKER
from chat4all.commands.backup import back_up
from chat4all.commands.restore import put_back
from chat4all.domain.errors import CommandRefused, StartRefused
from chat4all.operations import backups
from chat4all.operations.backups import DATABASES, MANIFEST, SECRET
from tests.folders import POISON, change, history, make_folder, route
from tests.records import CHATS, record
from tests.unit.test_commands import chat4all

FILES = {*DATABASES, SECRET, MARKER, MANIFEST}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data", [record("a"), POISON, record("b")])


@pytest.fixture
def backup(data: Path, tmp_path: Path) -> Path:
    back_up(data, tmp_path / "backup")
    return tmp_path / "backup"


def append(folder: Path, *values: bytes) -> None:
    with closing(sqlite3.connect(folder / "log.db", isolation_level=None)) as db:
        for value in values:
            db.execute(
                "INSERT INTO records (key, value, appended_ms) VALUES (?, ?, 1)", (CHATS[0], value)
            )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def refused(source: Path, folder: Path) -> str:
    """Return why a restore is refused; it leaves nothing."""
    existed = folder.exists()
    with pytest.raises((CommandRefused, StartRefused)) as refusal:
        put_back(source, folder)
    assert folder.exists() == existed
    return str(refusal.value)


def test_what_is_backed_up_comes_back(tmp_path: Path, data: Path) -> None:
    append(data, record("accepted, not yet routed"))
    result = chat4all("backup", tmp_path / "backup", "--data", data)
    assert result.exit_code == 0, result.output
    assert names(tmp_path / "backup") == FILES
    assert names(tmp_path) == {"data", "backup"}
    again = tmp_path / "deep" / "again"
    result = chat4all("restore", tmp_path / "backup", "--data", again)
    assert result.exit_code == 0, result.output
    assert names(again) == FILES - {MANIFEST} | {LOCK, GENERATION}
    # Positions of before the restore may stand for other messages from here on.
    put_back(tmp_path / "backup", tmp_path / "twice")
    generations = {generation_of(folder) for folder in (data, again, tmp_path / "twice")}
    assert len(generations) == 3
    assert None in generations
    route(again)
    assert history(again) == [(1, "a"), (2, "b"), (3, "accepted, not yet routed")]
    assert (again / SECRET).read_bytes() == (data / SECRET).read_bytes()
    append(again, record("c"))
    route(again)
    assert history(again)[-1] == (4, "c")


def test_headers_are_backed_up_too(tmp_path: Path, data: Path) -> None:
    change(data / "log.db", 'UPDATE records SET headers = CAST(\'[["a","MQ=="]]\' AS BLOB)')
    back_up(data, tmp_path / "backup")
    put_back(tmp_path / "backup", tmp_path / "again")
    with closing(sqlite3.connect(tmp_path / "again" / "log.db")) as db:
        assert db.execute("SELECT DISTINCT headers FROM records").fetchall() == [
            (b'[["a","MQ=="]]',)
        ]


def test_a_log_of_an_earlier_release_is_backed_up_and_comes_back(
    tmp_path: Path, data: Path
) -> None:
    change(data / "log.db", "ALTER TABLE records DROP COLUMN headers")
    change(data / "log.db", "ALTER TABLE records DROP COLUMN order_ms")
    change(data / "log.db", "DROP TABLE trimmed")
    change(data / "log.db", "PRAGMA user_version = 1")
    append(data, record("c"))
    back_up(data, tmp_path / "backup")
    put_back(tmp_path / "backup", tmp_path / "again")
    for folder in (tmp_path / "again", data):
        route(folder)
        assert history(folder) == [(1, "a"), (2, "b"), (3, "c")]


def test_all_of_it_is_for_its_owner_only(tmp_path: Path, data: Path) -> None:
    old = os.umask(0)
    try:
        back_up(data, tmp_path / "backup")
        put_back(tmp_path / "backup", tmp_path / "again")
    finally:
        os.umask(old)
    for folder in (tmp_path / "backup", tmp_path / "again"):
        assert folder.stat().st_mode & 0o777 == 0o700
        for path in folder.iterdir():
            assert path.stat().st_mode & 0o777 == 0o600, path


def test_a_folder_whose_process_was_killed_is_backed_up_whole(tmp_path: Path, data: Path) -> None:
    """What was committed last is in the -wal file only."""
    insert = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('INSERT INTO records (key, value, appended_ms) VALUES (?, ?, 1)',"
        " (sys.argv[2], sys.argv[3].encode()))\n"
        "os._exit(9)\n"
    )
    arguments = [str(data / "log.db"), CHATS[0], record("last").decode()]
    subprocess.run([sys.executable, "-c", insert, *arguments], check=False)
    assert (data / "log.db-wal").stat().st_size > 0
    manifest = back_up(data, tmp_path / "backup")
    assert (manifest.end, manifest.stored) == (4, 3)


def test_what_is_accepted_and_routed_between_the_copies_does_no_harm(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is copied after its log would be ahead of it."""
    real = backups._copy_database
    copied: list[str] = []

    def copy(source: Path, target: Path) -> None:
        real(source, target)
        copied.append(source.name)
        append(data, record(f"after {source.name}"))
        route(data)

    monkeypatch.setattr(backups, "_copy_database", copy)
    manifest = back_up(data, tmp_path / "backup")
    assert len(copied) == len(DATABASES)
    assert (manifest.end, manifest.stored) == (4, 3)


def test_a_log_that_is_trimmed_between_the_copies_is_copied_again(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(data, record("c"), record("d"))
    real = backups._copy_database
    copied: list[str] = []

    def copy(source: Path, target: Path) -> None:
        real(source, target)
        copied.append(source.name)
        if copied == ["store.db"]:
            route(data)
            change(data / "log.db", 'DELETE FROM records WHERE "offset" <= 4')

    monkeypatch.setattr(backups, "_copy_database", copy)
    manifest = back_up(data, tmp_path / "backup")
    assert copied == ["store.db", "log.db", "store.db", "log.db", "metadata.db"]
    assert (manifest.first, manifest.end, manifest.stored) == (5, 5, 5)


def test_every_byte_counts(tmp_path: Path, backup: Path) -> None:
    for name in FILES - {MANIFEST}:
        path = backup / name
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert f"{name} is not as it was written" in refused(backup, tmp_path / "again")
        path.write_bytes(whole[:-1])
        assert f"{name} is not as it was written" in refused(backup, tmp_path / "again")
        path.write_bytes(whole)
    put_back(backup, tmp_path / "again")


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_backup_without_one_of_its_files(tmp_path: Path, backup: Path, name: str) -> None:
    (backup / name).unlink()
    message = refused(backup, tmp_path / "again")
    assert name in message
    assert "missing" in message or "no backup" in message


def test_a_manifest_that_was_changed(tmp_path: Path, backup: Path) -> None:
    path = backup / MANIFEST
    whole = json.loads(path.read_bytes())

    def with_changes(**changes: Any) -> str:
        path.write_text(json.dumps(whole | changes))
        return refused(backup, tmp_path / "again")

    assert "newer Chat4All" in with_changes(format=4)
    assert "was changed" in with_changes(format="1")
    assert "was changed" in with_changes(files=[])
    assert "names other files" in with_changes(files={"../x": whole["files"]["log.db"]})
    assert "of another backup" in with_changes(end=whole["end"] + 1)
    path.write_text("{")
    assert "was changed" in refused(backup, tmp_path / "again")


def test_a_pair_mixed_from_two_backups(tmp_path: Path, data: Path, backup: Path) -> None:
    append(data, record("c"))
    route(data)
    back_up(data, tmp_path / "later")
    shutil.copy(backup / "log.db", tmp_path / "later" / "log.db")
    assert "log.db is not as it was written" in refused(tmp_path / "later", tmp_path / "again")
    # Also where somebody mended the sums by hand.
    old = json.loads((backup / MANIFEST).read_bytes())
    new = json.loads((tmp_path / "later" / MANIFEST).read_bytes())
    new["files"]["log.db"] = old["files"]["log.db"]
    (tmp_path / "later" / MANIFEST).write_text(json.dumps(new))
    assert "log.db is older than store.db" in refused(tmp_path / "later", tmp_path / "again")


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path, data: Path, backup: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter").write_text("dear")
    for folder in (other, data, other / "letter"):
        assert "is not empty" in refused(backup, folder)
    assert names(other) == {"letter"}
    assert history(data) == [(1, "a"), (2, "b")]


def test_an_empty_folder_is_filled_and_after_a_refusal_empty_again(
    tmp_path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "again"
    again.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
        assert "not enough room" in refused(backup, again)
    assert names(again) == set()
    put_back(backup, again)
    assert history(again) == [(1, "a"), (2, "b")]


@pytest.mark.thorough
def test_a_folder_in_use_is_refused(tmp_path: Path, backup: Path) -> None:
    again = tmp_path / "again"
    with DataFolder(again):
        assert "in use by another Chat4All" in refused(backup, again)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("renames", range(7))
def test_a_restore_that_is_cut_off_is_not_started_from_and_done_again(
    tmp_path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    again = tmp_path / "again"
    done = 0
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        nonlocal done
        if done == renames:
            # What a killed process leaves: its handlers do not run.
            shutil.copytree(again, tmp_path / "left")
            raise Killed
        done += 1
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(Killed):
            put_back(backup, again)
    assert not again.exists()
    left = tmp_path / "left"
    assert (left / STAGING).is_dir()
    with pytest.raises(StartRefused, match="was cut off: run `chat4all restore`"), DataFolder(left):
        pass
    assert "was cut off" in chat4all("dead-letters", "list", "--data", left).stderr
    put_back(backup, left)
    assert names(left) == FILES - {MANIFEST} | {LOCK, GENERATION}
    assert history(left) == [(1, "a"), (2, "b")]


def nothing_is_left(tmp_path: Path, data: Path, dest: Path) -> str:
    before = names(dest.parent)
    with pytest.raises(CommandRefused) as refusal:
        back_up(data, dest)
    assert names(dest.parent) == before
    return str(refusal.value)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (sqlite3.OperationalError("disk I/O error"), "disk I/O error"),
        (OSError(errno.EIO, "Input/output error", "x"), "Input/output error"),
    ],
)
@pytest.mark.parametrize("step", ["_copy_database", "sync_all"])
def test_a_disk_that_fails_leaves_nothing(
    tmp_path: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    says: str,
    step: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(backups, step, fail)
    message = nothing_is_left(tmp_path, data, tmp_path / "backup")
    assert says in message
    assert "there is nothing at" in message


def test_a_disk_with_too_little_room_is_said_before(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    assert "not enough room" in nothing_is_left(tmp_path, data, tmp_path / "backup")


def test_a_destination_that_cannot_be(tmp_path: Path, data: Path, backup: Path) -> None:
    assert "is there already" in nothing_is_left(tmp_path, data, backup)
    assert "inside the data folder" in nothing_is_left(tmp_path, data, data / "backup")
    with pytest.raises(CommandRefused, match="mount it"):
        back_up(data, tmp_path / "not" / "there")


def test_a_damaged_folder_makes_no_backup(tmp_path: Path, data: Path) -> None:
    change(data / "store.db", 'UPDATE followed_log SET "offset" = 99')
    assert "log.db is older than store.db" in nothing_is_left(tmp_path, data, tmp_path / "backup")
    change(data / "store.db", 'UPDATE followed_log SET "offset" = 3')
    change(data / "metadata.db", "UPDATE alembic_version SET version_num = '9999'")
    assert "newer Chat4All" in nothing_is_left(tmp_path, data, tmp_path / "backup")
    (data / "metadata.db").unlink()
    assert "metadata.db is missing" in nothing_is_left(tmp_path, data, tmp_path / "backup")


def test_a_damaged_page_makes_no_backup(tmp_path: Path, data: Path) -> None:
    with (data / "store.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    message = nothing_is_left(tmp_path, data, tmp_path / "backup")
    assert "store.db" in message or "malformed" in message
