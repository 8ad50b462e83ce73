"""`/metrics` about files: each number moves by what it counts, and by nothing else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chat4all.domain.errors import Unavailable
from chat4all.domain.files import PART_BYTES
from chat4all.gateway.files import filing
from tests.api.conftest import Api, running
from tests.api.test_metrics import values
from tests.api.tus import PNG, Tus, named
from tests.attached import FakePictures

pytestmark = pytest.mark.anyio

STORE = "chat4all_files_store"


@pytest.fixture
async def bruno(api: Api) -> Tus:
    return Tus(api, await api.sign_in("bruno"))


async def counted(api: Api, name: str, **labels: str) -> float:
    """Return a number of the gateway's."""
    written = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    name = f"chat4all_files_{name}"
    return (await values(api.gateway))[f"{name}{{{written}}}" if written else name]


@pytest.mark.slow
async def test_bytes_are_counted_as_they_arrive_and_as_they_are_sent(api: Api, bruno: Tus) -> None:
    assert await counted(api, "received_bytes_total") == 0
    path = await bruno.upload(bytes(1000))
    again = await bruno.patch(path, 0, bytes(10))  # it is refused before its body is read
    assert again.status_code == 409
    assert await counted(api, "received_bytes_total") == 1000
    assert await counted(api, "sent_bytes_total") == 0
    await bruno.ask("GET", path)
    await bruno.ask("GET", path, Range="bytes=0-99")
    await bruno.ask("GET", path + "x")
    assert await counted(api, "sent_bytes_total") == 1100
    for direction in ("upload", "download"):
        assert await counted(api, "transfers", direction=direction) == 0
        assert await counted(api, "stalls_total", direction=direction) == 0


@pytest.mark.slow
async def test_operations_of_the_store_are_timed_and_their_failures_counted(
    api: Api, bruno: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await bruno.upload(bytes(PART_BYTES + 1))
    await bruno.ask("GET", path)
    for operation, times in {"begin": 1, "write": 2, "finish": 1, "read": 2, "abort": 0}.items():
        assert await counted(api, "store_seconds_count", operation=operation) == times, operation

    async def fails(*_: object) -> None:
        raise Unavailable("away")

    async def breaks(*given: object) -> AsyncIterator[bytes]:
        if given:
            raise Unavailable("away")
        yield b""

    monkeypatch.setattr(api.parts.blobs, "begin", fails)
    monkeypatch.setattr(api.parts.blobs, "read", breaks)
    answer = await bruno.ask("POST", "/v1/files", Upload_Length="5")
    assert answer.status_code == 503
    assert (await bruno.ask("GET", path)).status_code == 503
    for operation in ("begin", "read"):
        assert await counted(api, "store_failures_total", operation=operation) == 1
    assert await counted(api, "store_seconds_count", operation="begin") == 1


async def test_pictures_are_counted_by_what_came_of_them(
    api: Api, bruno: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await bruno.upload(PNG, **named("praia.png"))
    await bruno.upload(PNG + FakePictures.BROKEN, **named("broken.png"))
    await bruno.upload(b"no picture")
    for _ in range(2):  # it is made for the first one, and read for the other
        assert (await bruno.ask("GET", f"{path}/thumbnail")).status_code == 200

    async def fails(*_: object) -> None:
        raise Unavailable("too many")

    monkeypatch.setattr(FakePictures, "thumbnail", fails)
    assert (await bruno.ask("GET", f"{path}/thumbnail?size=128")).status_code == 503
    for operation, outcome in (
        ("look", "done"),
        ("look", "refused"),
        ("thumbnail", "done"),
        ("thumbnail", "failed"),
    ):
        assert await counted(api, "pictures_total", operation=operation, outcome=outcome) == 1
    assert await counted(api, "pictures_total", operation="look", outcome="failed") == 0


@pytest.mark.slow
async def test_what_is_deleted_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filing, "EVERY_SECONDS", 0.02)
    async with running(tmp_path / "data") as api:
        bruno = Tus(api, await api.sign_in("bruno"))
        paths = [await bruno.upload(bytes([number] * 10)) for number in range(3)]
        assert await counted(api, "deleted_total") == 0
        for path in paths[1:]:
            assert (await bruno.ask("DELETE", path)).status_code == 204
        async with asyncio.timeout(30):
            while await counted(api, "deleted_total") != 2:
                await asyncio.sleep(0.01)
        assert [file.stat().st_size for file in stored(tmp_path / "data")] == [10]


def stored(folder: Path) -> list[Path]:
    return [file for file in (folder / "files").rglob("*") if file.is_file()]
