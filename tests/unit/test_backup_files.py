"""The files of users in a backup: all of them, while they change, and nothing outside."""

import asyncio
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from chat4all.adapters.embedded import FolderBlobs
from chat4all.commands.backup import back_up
from chat4all.commands.restore import put_back
from chat4all.domain.errors import CommandRefused
from chat4all.operations import backup_files
from chat4all.operations.backup_files import File, is_of_users
from chat4all.operations.backups import MANIFEST
from tests.folders import make_folder
from tests.records import record

PARTS = [b"a" * 1_000, b"b" * 2_000]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data", [record("a")])


async def _upload(folder: Path, key: str, *, is_whole: bool) -> str:
    blobs = FolderBlobs(folder / "files")
    await blobs.open()
    upload = await blobs.begin(key, "text/plain")
    parts = [await blobs.write(key, upload, number, [data]) for number, data in enumerate(PARTS, 1)]
    if is_whole:
        await blobs.finish(key, upload, parts)
    await blobs.close()
    return upload


def upload(folder: Path, key: str, *, is_whole: bool = True) -> str:
    """Put a file of two parts into a data folder, or the parts alone."""
    return asyncio.run(_upload(folder, key, is_whole=is_whole))


def content(folder: Path, key: str) -> bytes:
    async def read() -> bytes:
        blobs = FolderBlobs(folder / "files")
        await blobs.open()
        try:
            return b"".join([piece async for piece in blobs.read(key)])
        finally:
            await blobs.close()

    return asyncio.run(read())


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in (folder / "files").glob("??/**/*")
        if path.is_file()
    }


def test_files_and_unfinished_uploads_come_back(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(data, "f/1")
    upload(data, "f/2", is_whole=False)
    back_up(data, tmp_path / "backup")
    assert "copying 0." in capsys.readouterr().err
    put_back(tmp_path / "backup", tmp_path / "restored")
    assert content(tmp_path / "restored", "f/1") == b"".join(PARTS)
    assert tree(tmp_path / "restored") == tree(data)
    for place in (tmp_path / "backup", tmp_path / "restored"):
        for path in (place / "files", *(place / "files").rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path


def after_copies(monkeypatch: pytest.MonkeyPatch, then: Callable[[str], object]) -> None:
    """Do something each time that a file of users was copied, with its name."""
    real = backup_files._copy

    def copy(source: Path, staging: Path, name: str) -> File:
        made = real(source, staging, name)
        then(name)
        return made

    monkeypatch.setattr(backup_files, "_copy", copy)


def test_an_upload_that_is_finished_between_two_copies_is_there(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails with one walk: its parts are gone from where they were, and are nowhere else yet."""
    upload(data, "f/0")
    begun = upload(data, "f/1", is_whole=False)
    (folder,) = (path for path in (data / "files").rglob(f"*{begun}"))
    real, moved = backup_files._copy, list[Path]()

    def copy(source: Path, staging: Path, name: str) -> File:
        if folder.name in name and not moved:
            moved.append(folder.rename(folder.with_name(folder.name.partition("~")[0])))
        return real(source, staging, name)

    monkeypatch.setattr(backup_files, "_copy", copy)
    back_up(data, tmp_path / "backup")
    assert moved
    assert tree(tmp_path / "backup") == tree(data)


def test_what_is_deleted_meanwhile_is_not_in_it(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(data, "f/1")
    after_copies(monkeypatch, lambda _: shutil.rmtree(data / "files", ignore_errors=True))
    back_up(data, tmp_path / "backup")
    assert tree(tmp_path / "backup") == {}
    put_back(tmp_path / "backup", tmp_path / "restored")


def test_a_byte_of_a_file_that_was_changed(tmp_path: Path, data: Path) -> None:
    upload(data, "f/1")
    back_up(data, tmp_path / "backup")
    name = next(iter(tree(tmp_path / "backup")))
    (tmp_path / "backup" / name).write_bytes(b"x")
    with pytest.raises(CommandRefused, match="not as it was written"):
        put_back(tmp_path / "backup", tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


@pytest.mark.parametrize(
    "name",
    [
        "files/../evil",
        "files/00/00/..",
        "files/00/00/x/..",
        "files/00/00/../x",
        "/etc/passwd",
        "files//00/x",
        "files/00/00/x/y/z",
        "filesx/00/00/x",
        "files/00/00/x\n",
    ],
)
def test_a_manifest_names_nothing_outside(tmp_path: Path, data: Path, name: str) -> None:
    assert is_of_users("files/0a/ff/f_1~0af")
    assert not is_of_users(name)
    back_up(data, tmp_path / "backup")
    manifest = json.loads((tmp_path / "backup" / MANIFEST).read_text())
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 0}
    (tmp_path / "backup" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CommandRefused, match="names other files"):
        put_back(tmp_path / "backup", tmp_path / "restored")
