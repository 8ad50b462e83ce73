"""The folder of files: who may read it, a full disk, a folder that is gone, and crashes."""

import errno
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from chat4all.adapters.embedded import DataFolder, FolderBlobs, object_files
from chat4all.adapters.embedded.folder import FILES
from chat4all.adapters.private_files import rename_durably
from chat4all.domain.errors import Conflict, NotFound, OutOfSpace, StartRefused, Unavailable
from chat4all.domain.files import StoredPart

pytestmark = pytest.mark.anyio

KEY = "files/0190163d-8694-739b-aea5-966c26f8ad91"
TYPE = "text/plain"


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[FolderBlobs]:
    found = FolderBlobs(tmp_path / "files")
    await found.open()
    yield found
    await found.close()


async def read(blobs: FolderBlobs, key: str = KEY) -> bytes:
    return b"".join([piece async for piece in blobs.read(key)])


async def two_parts(blobs: FolderBlobs) -> tuple[str, Sequence[StoredPart]]:
    upload = await blobs.begin(KEY, TYPE)
    return upload, [
        await blobs.write(KEY, upload, 1, [b"one, "]),
        await blobs.write(KEY, upload, 33, [b"two"]),
    ]


def files_in(folder: Path) -> Sequence[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


async def test_only_the_owner_can_read(tmp_path: Path) -> None:
    before = os.umask(0)
    blobs = FolderBlobs(tmp_path / "files")
    try:
        await blobs.open()
        upload, parts = await two_parts(blobs)
        await blobs.finish(KEY, upload, parts)
        await blobs.put("tails/x", [b"tail"], TYPE)
    finally:
        os.umask(before)
        await blobs.close()
    paths = [tmp_path / "files", *(tmp_path / "files").rglob("*")]
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in paths}
    assert modes == {(True, 0o700), (False, 0o600)}


async def test_an_upload_goes_on_after_a_restart(blobs: FolderBlobs, tmp_path: Path) -> None:
    upload, parts = await two_parts(blobs)
    again = FolderBlobs(tmp_path / "files")
    await again.open()
    last = await again.write(KEY, upload, 65, [b", three"])
    await again.finish(KEY, upload, [*parts, last])
    await again.close()
    assert await read(blobs) == b"one, two, three"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_leaves_nothing_half_written(
    blobs: FolderBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    upload, parts = await two_parts(blobs)
    before = files_in(tmp_path)

    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", full)
        with pytest.raises(OutOfSpace, match="is full: free some space") as raised:
            await blobs.write(KEY, upload, 65, [b"more"])
        assert raised.value.public is not None
        assert str(tmp_path) not in raised.value.public
        with pytest.raises(OutOfSpace):
            await blobs.put("tails/x", [b"more"], TYPE)
    assert files_in(tmp_path) == before
    await blobs.finish(KEY, upload, parts)
    assert await read(blobs) == b"one, two"


async def test_another_trouble_with_the_disk_is_one_sentence(
    blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(Unavailable, match=r"cannot be used \(Input/output error\): make it"):
        await blobs.put("tails/x", [b"x"], TYPE)


async def test_a_folder_that_is_gone_is_not_made_anew(blobs: FolderBlobs, tmp_path: Path) -> None:
    upload, parts = await two_parts(blobs)
    await blobs.put("tails/x", [b"tail"], TYPE)
    folder = tmp_path / "files"
    folder.rename(tmp_path / "elsewhere")
    gone = "files was removed while Chat4All was running: put it back"
    with pytest.raises(Unavailable, match=gone):
        await blobs.begin(KEY, TYPE)
    with pytest.raises(Unavailable, match=gone):
        await blobs.write(KEY, upload, 65, [b"more"])
    with pytest.raises(Unavailable, match=gone):
        await blobs.finish(KEY, upload, parts)
    with pytest.raises(Unavailable, match=gone):
        await read(blobs, "tails/x")
    with pytest.raises(Unavailable, match=gone):
        await blobs.ping()
    assert not folder.exists()
    (tmp_path / "elsewhere").rename(folder)
    await blobs.ping()
    await blobs.finish(KEY, upload, parts)
    assert await read(blobs) == b"one, two"


async def test_a_folder_that_cannot_be_made_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    blobs = FolderBlobs(tmp_path / "file" / "files")
    with pytest.raises(StartRefused, match=r"cannot be used .* or name another folder with --data"):
        await blobs.open()
    await blobs.close()


async def test_a_whole_object_keeps_nothing_that_nobody_names(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    upload, parts = await two_parts(blobs)
    await blobs.write(KEY, upload, 2, [b"late, and of an older fence"])
    await blobs.finish(KEY, upload, parts)
    found = files_in(tmp_path)
    assert sorted(path.read_bytes() for path in found if path.name != object_files.ORDER) == [
        b"one, ",
        b"two",
    ]
    assert len(found) == 3
    await blobs.delete([KEY])
    assert files_in(tmp_path) == []


async def test_a_finish_that_was_cut_off_is_done_again(
    blobs: FolderBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of its steps; `rename_durably` is the one that makes the object."""
    renamed = rename_durably
    for cut_off_before in (True, False):
        upload, parts = await two_parts(blobs)

        def cut_off(source: Path, target: Path, *, before: bool = cut_off_before) -> None:
            if not before:
                renamed(source, target)
            raise OSError(errno.EIO, "killed")

        with monkeypatch.context() as patched:
            patched.setattr(object_files, "rename_durably", cut_off)
            with pytest.raises(Unavailable):
                await blobs.finish(KEY, upload, parts)
        await blobs.finish(KEY, upload, parts)
        assert await read(blobs) == b"one, two"
        await blobs.delete([KEY])
        assert files_in(tmp_path) == []


async def test_half_a_deleted_object_is_none(blobs: FolderBlobs, tmp_path: Path) -> None:
    upload, parts = await two_parts(blobs)
    await blobs.finish(KEY, upload, parts)
    (order,) = (tmp_path / "files").rglob(object_files.ORDER)
    order.unlink()  # the first step of its deletion
    with pytest.raises(NotFound):
        await read(blobs)
    await blobs.delete([KEY])
    assert files_in(tmp_path) == []


async def test_what_is_deleted_while_it_is_read_ends_the_reading(blobs: FolderBlobs) -> None:
    upload, parts = await two_parts(blobs)
    await blobs.finish(KEY, upload, parts)
    reading = blobs.read(KEY)
    assert await anext(reading) == b"one, "
    await blobs.delete([KEY])
    with pytest.raises(NotFound):
        await anext(reading)


async def test_a_part_that_has_lost_bytes_is_not_taken(blobs: FolderBlobs, tmp_path: Path) -> None:
    upload, parts = await two_parts(blobs)
    (last,) = (tmp_path / "files").rglob("00033.*")
    last.write_bytes(b"tw")
    with pytest.raises(Conflict, match="part 33 of the upload is not the one"):
        await blobs.finish(KEY, upload, parts)


async def test_the_upload_of_another_key_is_none(blobs: FolderBlobs) -> None:
    upload, parts = await two_parts(blobs)
    for other in (f"{KEY}x", f"{KEY}/{upload}", KEY[:-1]):
        with pytest.raises(Conflict):
            await blobs.write(other, upload, 1, [b"x"])
        await blobs.abort(other, upload)
    await blobs.finish(KEY, upload, parts)
    assert await read(blobs) == b"one, two"


async def test_many_small_buffers_are_written_in_their_order(blobs: FolderBlobs) -> None:
    data = [bytes([number % 251]) * (number % 7) for number in range(3_000)]
    await blobs.put("tails/x", data, TYPE)
    assert await read(blobs, "tails/x") == b"".join(data)


async def test_a_disk_that_takes_part_of_a_call_gets_the_rest(
    blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def some(handle: int, buffers: Sequence[memoryview]) -> int:
        return os.write(handle, b"".join(buffers)[:3])

    monkeypatch.setattr(os, "writev", some)
    await blobs.put("tails/x", [b"", b"ab", b"cdefg", b"h"], TYPE)
    assert await read(blobs, "tails/x") == b"abcdefgh"


async def test_an_object_of_a_folder_that_was_replaced_is_unavailable(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    await blobs.put("tails/x", [b"x"], TYPE)
    shutil.copytree(tmp_path / "files", tmp_path / "copy")
    shutil.rmtree(tmp_path / "files")
    (tmp_path / "copy").rename(tmp_path / "files")
    with pytest.raises(Unavailable, match="was replaced while Chat4All was running"):
        await blobs.ping()


async def test_a_data_folder_with_files_is_closed_to_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / FILES).mkdir(parents=True)
    for folder in (data, data / FILES):
        folder.chmod(0o755)
    with DataFolder(data):
        modes = [folder.stat().st_mode & 0o777 for folder in (data, data / FILES)]
    assert modes == [0o700, 0o700]


async def test_a_part_is_synced_bit_by_bit(
    blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync of a message waits for what the disk was given before."""
    sizes: list[int] = []
    sync = os.fdatasync

    def noted(handle: int) -> None:
        sizes.append(os.fstat(handle).st_size)
        sync(handle)

    monkeypatch.setattr(os, "fdatasync", noted)
    upload = await blobs.begin(KEY, TYPE)
    piece = bytes(100_000)
    await blobs.write(KEY, upload, 1, [piece] * 20)
    assert sizes[-1] == 2_000_000
    grown = [after - before for before, after in pairwise([0, *sizes])]
    assert max(grown) < object_files.SYNC_BYTES + len(piece)
