"""Garbage is deleted from the disk."""

from pathlib import Path

import pytest

from chat4all.domain.files import PART_BYTES
from chat4all.usecases.collecting import Collecting
from tests.api.conftest import Api
from tests.api.tus import PNG, Tus

pytestmark = pytest.mark.anyio


def stored(folder: Path) -> int:
    """Return how many bytes of files there are."""
    return sum(file.stat().st_size for file in (folder / "files").rglob("*") if file.is_file())


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
