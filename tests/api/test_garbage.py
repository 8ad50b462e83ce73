"""Garbage is deleted from the disk."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from chat4all.domain.errors import Unavailable
from chat4all.domain.files import (
    GARBAGE_SECONDS,
    LATE_SECONDS,
    PART_BYTES,
    Garbage,
    tail_key,
    thumbnail_key,
)
from chat4all.usecases.collecting import Collecting
from tests.api.conftest import Api
from tests.api.test_file_uses import pass_time
from tests.api.tus import PNG, Tus

pytestmark = pytest.mark.anyio


def stored(folder: Path) -> int:
    """Return how many bytes of files there are."""
    return sum(file.stat().st_size for file in (folder / "files").glob("??/**/*") if file.is_file())


async def test_what_cannot_be_deleted_holds_up_nothing_else(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = Tus(api, await api.sign_in("bruno"))
    first, second = [await bruno.upload(bytes(100)) for _ in range(2)]
    for path in (first, second):
        assert (await bruno.ask("DELETE", path)).status_code == 204
    delete, key = api.parts.blobs.delete, first.rpartition("/")[2]

    async def broken(keys: Sequence[str]) -> None:
        if any(key in one for one in keys):
            raise Unavailable("this one is held")
        await delete(keys)

    monkeypatch.setattr(api.parts.blobs, "delete", broken)
    collecting = Collecting(api.parts.people.files, api.parts.blobs)
    with pytest.raises(Unavailable):
        await collecting.collect()
    assert await collecting.collect() == 0  # the other one is gone already


async def test_what_cannot_be_deleted_starves_nothing_in_its_batch(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two of them end each run: fails where they always come first."""
    bruno = Tus(api, await api.sign_in("bruno"))
    paths = [await bruno.upload(bytes(size)) for size in (100, 100, 7)]
    for path in paths:
        assert (await bruno.ask("DELETE", path)).status_code == 204
    delete, held = api.parts.blobs.delete, [path.rpartition("/")[2] for path in paths[:2]]

    async def broken(keys: Sequence[str]) -> None:
        if any(key in one for one in keys for key in held):
            raise Unavailable("this one is held")
        await delete(keys)

    monkeypatch.setattr(api.parts.blobs, "delete", broken)
    collecting = Collecting(api.parts.people.files, api.parts.blobs)
    for _ in range(100):
        if stored(tmp_path / "data") == 200:
            return
        with pytest.raises(Unavailable):
            await collecting.collect()
        await pass_time(api, GARBAGE_SECONDS)
    pytest.fail("it was never deleted")


async def test_what_is_given_up_is_deleted(api: Api, tmp_path: Path) -> None:
    bruno, folder = Tus(api, await api.sign_in("bruno")), tmp_path / "data"
    kept = await bruno.upload(PNG)
    collecting = Collecting(api.parts.people.files, api.parts.blobs)
    assert await collecting.collect() == 0
    before = stored(folder)
    whole, begun = await bruno.upload(bytes(100)), await bruno.begin(2 * PART_BYTES)
    await bruno.patch(begun, 0, bytes(PART_BYTES + 5))
    assert stored(folder) > before + PART_BYTES
    for path in (whole, begun):
        assert (await bruno.ask("DELETE", path)).status_code == 204
    assert await collecting.collect() == 2
    assert stored(folder) == before
    assert await collecting.collect() == 0
    assert (await bruno.ask("GET", kept)).content == PNG


async def test_what_arrives_at_the_store_after_that_is_deleted_as_well(
    api: Api, tmp_path: Path
) -> None:
    """A gateway was killed, and the store made what it had asked for before."""
    bruno, blobs = Tus(api, await api.sign_in("bruno")), api.parts.blobs
    begun, whole = await bruno.begin(2 * PART_BYTES), await bruno.upload(PNG)
    await bruno.patch(begun, 0, b"abc")
    collecting = Collecting(api.parts.people.files, blobs)
    for path in (begun, whole):
        assert (await bruno.ask("DELETE", path)).status_code == 204
    garbage = await api.parts.people.files.garbage(2)
    await pass_time(api, LATE_SECONDS)
    assert await collecting.collect() == 2
    for one in garbage:
        await blobs.put(tail_key(one.keys[0], 1), [b"late"], "")
        await blobs.put(thumbnail_key(one.file_id, 480), [b"late"], "")
    assert stored(tmp_path / "data") > 0
    await pass_time(api, LATE_SECONDS)
    assert await collecting.collect() == 2
    assert stored(tmp_path / "data") == 0
    await pass_time(api, LATE_SECONDS)
    assert await collecting.collect() == 0


async def test_an_upload_is_aborted_twice(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 may keep a part that was on its way when its upload was aborted."""
    bruno, blobs, aborted = Tus(api, await api.sign_in("bruno")), api.parts.blobs, list[str]()
    path = await bruno.begin(PART_BYTES)
    assert (await bruno.ask("DELETE", path)).status_code == 204
    abort = blobs.abort

    async def noted(key: str, upload: str) -> None:
        aborted.append(key)
        await abort(key, upload)

    monkeypatch.setattr(blobs, "abort", noted)
    collecting = Collecting(api.parts.people.files, blobs)
    for times in (1, 2):
        assert await collecting.collect() == 1
        assert len(aborted) == times
        await pass_time(api, LATE_SECONDS)
    assert await collecting.collect() == 0


@pytest.mark.thorough
async def test_everything_is_deleted_however_little_is_given_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when less than was asked for is taken for the last."""
    bruno, files = Tus(api, await api.sign_in("bruno")), api.parts.people.files
    for _ in range(3):
        assert (await bruno.ask("DELETE", await bruno.upload(b"x"))).status_code == 204
    garbage = files.garbage

    async def one(_: int) -> Sequence[Garbage]:
        return await garbage(1)

    monkeypatch.setattr(files, "garbage", one)
    assert await Collecting(files, api.parts.blobs).collect() == 3
