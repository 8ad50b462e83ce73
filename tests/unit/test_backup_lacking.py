"""Files whose bytes a backup or a restore does not find: what is said, and what is no trouble."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.embedded.object_files import place_of
from chat4all.adapters.installation import MARKER
from chat4all.commands.backup import back_up
from chat4all.commands.restore import put_back
from chat4all.domain.errors import CommandRefused
from chat4all.operations import backups
from chat4all.operations.backup_files import Lacking
from chat4all.operations.backups import INCOMPLETE
from tests.folders import change, history, make_folder
from tests.records import record
from tests.unit.test_backup_files import PARTS, after_copies, tree, upload
from tests.unit.test_commands import chat4all

SIZE = sum(map(len, PARTS))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = make_folder(tmp_path / "data", [record("a")])
    for number in (1, 2):
        add_file(folder, f"f/{number}")
    return folder


def add_file(folder: Path, key: str) -> None:
    """Put a file into a data folder: its bytes, and what is known of it."""
    upload(folder, key)
    change(
        folder / "metadata.db",
        "INSERT INTO files (file_id, owner, size, name, declared_type, object_key, store_upload,"
        " upload_metadata, state, received, fence, lease_until, created_at)"
        f" VALUES ('{key}', 'ana', {SIZE}, 'x', '', '{key}', '', '', 'ready', {SIZE}, 0, 0, 0)",
    )


def delete_file(folder: Path, key: str) -> None:
    """Delete a file as it is done: what is known of it before its bytes."""
    change(folder / "metadata.db", f"UPDATE files SET given_until = 1 WHERE file_id = '{key}'")
    shutil.rmtree(place_of(folder / "files", key))


def test_a_folder_with_all_its_files_is_whole(tmp_path: Path, data: Path) -> None:
    for command in (("backup", tmp_path / "b", "--data", data), ("restore", tmp_path / "b")):
        result = chat4all(*command, *(["--data", tmp_path / "r"] if len(command) == 2 else []))
        assert result.exit_code == 0, result.output
        assert "are not in it" not in result.stderr
    assert tree(tmp_path / "r") == tree(data)


def test_without_the_folder_of_files_there_is_no_backup(tmp_path: Path, data: Path) -> None:
    (data / "files").rename(tmp_path / "aside")
    with pytest.raises(CommandRefused, match="files is missing, with what users"):
        back_up(data, tmp_path / "b")
    (data / "files").mkdir()  # its disk is not mounted
    with pytest.raises(CommandRefused, match="files lacks what users have uploaded: mount"):
        back_up(data, tmp_path / "b")
    (data / "files").rmdir()
    (tmp_path / "aside").rename(data / "files")
    back_up(data, tmp_path / "b")


def test_what_is_not_ours_in_the_folder_is_passed_over(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk of its own has `lost+found`, which only root can read."""
    (data / "files" / "lost+found" / "00").mkdir(parents=True)
    (data / "files" / "notes.txt").touch()
    shut(monkeypatch, data / "files" / "lost+found")
    back_up(data, tmp_path / "b")
    put_back(tmp_path / "b", tmp_path / "r")
    assert sorted(path.name for path in (tmp_path / "r" / "files").glob("*[!0-9a-f]*")) == [MARKER]


def test_a_folder_that_goes_while_it_is_copied_makes_no_backup(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_copies(monkeypatch, lambda _: shutil.rmtree(data / "files", ignore_errors=True))
    with pytest.raises(CommandRefused, match="files is missing, with what"):
        back_up(data, tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("cut_off", [False, True])
def test_all_else_is_copied_and_said_where_one_object_is_lost(
    tmp_path: Path, data: Path, cut_off: bool
) -> None:
    """An operator whose disk has begun to lose files needs a backup more than ever."""
    place = place_of(data / "files", "f/1")
    if cut_off:
        (path,) = place.glob("00001.*")
        os.truncate(path, 1)
    else:
        shutil.rmtree(place)
    told = "1 files of users are not in it as they were uploaded"
    result = chat4all("backup", tmp_path / "b", "--data", data)
    assert result.exit_code == INCOMPLETE
    assert "is a backup without some files" in result.stdout
    assert told in result.stderr
    result = chat4all("restore", tmp_path / "b", "--data", tmp_path / "r")
    assert result.exit_code == INCOMPLETE
    assert told in result.stderr
    assert tree(tmp_path / "r") == tree(data)
    assert history(tmp_path / "r") == [(1, "a")]


def test_a_backup_whose_files_were_not_copied_is_restored_and_said(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier release has made such ones, and called them whole."""
    with monkeypatch.context() as patched:
        nothing = Lacking(frozenset(), frozenset())
        patched.setattr(backups, "_copy_files", lambda *_: ({}, nothing))
        assert back_up(data, tmp_path / "b").lacking == 0
    result = chat4all("restore", tmp_path / "b", "--data", tmp_path / "r")
    assert result.exit_code == INCOMPLETE
    assert "2 files of users are not in it" in result.stderr
    assert history(tmp_path / "r") == [(1, "a")]
    # A start takes it, as what is lost was said; so does the next backup.
    assert [path.name for path in (tmp_path / "r" / "files").iterdir()] == [MARKER]
    assert back_up(tmp_path / "r", tmp_path / "again").lacking == 2


def test_a_file_that_is_deleted_meanwhile_is_not_lost(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is copied, and after; metadata.db, which is copied first, has both."""
    calls = list[str]()

    def delete_after_the_first(name: str) -> None:
        calls.append(name)
        if len(calls) == 1:
            for number in (1, 2):
                delete_file(data, f"f/{number}")

    after_copies(monkeypatch, delete_after_the_first)
    manifest = back_up(data, tmp_path / "b")
    assert calls
    assert (manifest.lacking, manifest.deleted) == (0, ("f/1", "f/2"))
    assert put_back(tmp_path / "b", tmp_path / "r").lacking == 0


def test_a_file_that_gets_the_object_of_another_meanwhile_is_there(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails without a second copy of metadata.db: the first names what is no longer there."""
    done = list[str]()

    def share_after_the_first(name: str) -> None:
        if not done:
            done.append(name)
            change(data / "metadata.db", "UPDATE files SET object_key = 'f/2'")
            shutil.rmtree(place_of(data / "files", "f/1"))

    after_copies(monkeypatch, share_after_the_first)
    manifest = back_up(data, tmp_path / "b")
    assert (manifest.lacking, manifest.deleted) == (0, ())
    assert put_back(tmp_path / "b", tmp_path / "r").lacking == 0


def test_a_folder_that_cannot_be_read_makes_no_backup(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`os.walk` passes over it by itself. Not with modes: a test may run as root."""
    shut(monkeypatch, place_of(data / "files", "f/1").parent)
    with pytest.raises(CommandRefused, match="Permission denied"):
        back_up(data, tmp_path / "b")


def shut(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
