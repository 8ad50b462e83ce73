"""The marker in the folder of files: whose they are, and that their disk is mounted."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chat4all.adapters.embedded import FolderBlobs
from chat4all.adapters.embedded.marked_files import marker_in
from chat4all.adapters.installation import MARKER
from chat4all.commands.backup import back_up
from chat4all.commands.restore import put_back
from chat4all.domain.errors import StartRefused, Unavailable
from tests.api.conftest import running
from tests.api.tus import Tus
from tests.folders import make_folder
from tests.unit.test_backup_files import upload

pytestmark = pytest.mark.anyio

KEY, TYPE = "files/one", "text/plain"


async def start(folder: Path, installation_id: str = "mine", *, has_files: bool = True) -> None:
    blobs = FolderBlobs(folder, installation_id=installation_id)
    try:
        await blobs.open(has_files=has_files)
    finally:
        await blobs.close()


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[FolderBlobs]:
    found = FolderBlobs(tmp_path / "files", installation_id="mine")
    await found.open()
    await found.put(KEY, [b"x"], TYPE)
    yield found
    await found.close()


async def test_a_first_start_marks_the_folder_for_its_owner_only(tmp_path: Path) -> None:
    await start(tmp_path / "files", has_files=False)
    assert marker_in(tmp_path / "files") == "mine"
    assert (tmp_path / "files" / MARKER).stat().st_mode & 0o777 == 0o600
    await start(tmp_path / "files")


async def test_a_folder_whose_disk_is_not_mounted_stops_the_start(tmp_path: Path) -> None:
    """Fails without the marker: what is uploaded then is below the mount point."""
    for make in (False, True):
        if make:
            (tmp_path / "files" / "lost+found").mkdir(parents=True)
        with pytest.raises(StartRefused, match="what users have uploaded: mount its disk"):
            await start(tmp_path / "files")
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["lost+found"]
    # As the sentence says.
    (tmp_path / MARKER).write_text("mine new\n")
    shutil.copy(tmp_path / MARKER, tmp_path / "files")
    await start(tmp_path / "files")


@pytest.mark.parametrize("has_files", [False, True])
async def test_the_folder_of_another_installation_stops_the_start(
    tmp_path: Path, has_files: bool
) -> None:
    await start(tmp_path / "files", has_files=False)
    with pytest.raises(StartRefused, match="has the files of another installation"):
        await start(tmp_path / "files", "yours", has_files=has_files)
    assert marker_in(tmp_path / "files") == "mine"


async def test_the_folder_of_an_earlier_release_is_marked(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    (tmp_path / "files" / MARKER).unlink()
    await start(tmp_path / "files")
    assert marker_in(tmp_path / "files") == "mine"


async def test_a_copy_that_is_put_back_under_a_running_process_is_taken(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.rename(tmp_path / "aside")
    with pytest.raises(Unavailable, match="files was removed while Chat4All was running"):
        await blobs.ping()
    folder.mkdir()
    with pytest.raises(Unavailable, match="files was replaced while Chat4All was running"):
        await blobs.put(KEY, [b"y"], TYPE)
    assert [*folder.iterdir()] == []
    folder.rmdir()
    shutil.copytree(tmp_path / "aside", folder)
    await blobs.ping()
    assert b"".join([piece async for piece in blobs.read(KEY)]) == b"x"


async def test_an_installation_marks_its_files(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as api:
        await Tus(api, await api.sign_in("bruno")).upload(b"content")
    whose = (tmp_path / "data" / MARKER).read_text().split()[0]
    assert marker_in(tmp_path / "data" / "files") == whose


@pytest.mark.parametrize("of_earlier_release", [False, True])
def test_a_restore_has_the_marker(tmp_path: Path, of_earlier_release: bool) -> None:
    data = make_folder(tmp_path / "data")
    whose = (data / MARKER).read_text().split()[0]
    upload(data, KEY)
    if not of_earlier_release:
        (data / "files" / MARKER).write_text(whose)
    back_up(data, tmp_path / "b")
    put_back(tmp_path / "b", tmp_path / "r")
    assert marker_in(tmp_path / "r" / "files") == whose
