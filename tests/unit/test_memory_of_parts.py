"""How much of an upload is in memory while the store takes it: each byte once."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from chat4all.adapters.prometheus.files import FileMetrics
from chat4all.adapters.s3 import S3Blobs
from chat4all.domain.buckets import Bucket
from chat4all.domain.files import PART_BYTES, FileId, NewUpload, StoredPart
from chat4all.ports.blobs import Blobs, Chunks
from tests.contract.test_directory import ANA
from tests.uploads import SteppedBlobs, world_in

pytestmark = pytest.mark.anyio

MORE = PART_BYTES // 4
"""What may be in memory beside one part."""

PIECE = 64 * 1024


@pytest.fixture
def taken() -> Iterator[Callable[[], int]]:
    """Return how many bytes are in memory that were not there at the beginning of the test."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()


async def until_once(taken: Callable[[], int]) -> None:
    """Return when one part is in memory once. Fails if it stays there twice."""
    async with asyncio.timeout(10):
        while taken() > PART_BYTES + MORE:
            await asyncio.sleep(0.001)
    assert taken() > PART_BYTES - MORE  # else this would be no measure


class JoiningBlobs(SteppedBlobs):
    """Makes one piece of each part and of each tail, as a client of S3 has to."""

    async def write(self, key: str, upload: str, number: int, data: Chunks) -> StoredPart:
        whole = b"".join(data)
        del data
        return await super().write(key, upload, number, [whole])

    async def put(self, key: str, data: Chunks, media_type: str) -> None:
        whole = b"".join(data)
        del data
        await super().put(key, [whole], media_type)


async def body(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // PIECE):
        yield bytes(PIECE)


@pytest.mark.parametrize(("step", "size"), [("write", PART_BYTES), ("put", PART_BYTES - PIECE)])
async def test_a_part_and_a_tail_are_given_away(
    tmp_path: Path, taken: Callable[[], int], step: str, size: int
) -> None:
    async with world_in(tmp_path) as plain:
        blobs = JoiningBlobs(tmp_path / "files", plain.steps)
        await blobs.open()
        gateway = replace(plain, blobs=blobs).gateway()
        file_id = FileId("01980f4e-9b2a-7c31-8d44-000000000001")
        new = NewUpload(file_id, ANA, PART_BYTES, "name", "text/plain", f"5b/{file_id}", "")
        await gateway.begin(new)
        plain.steps.before[step] = lambda: until_once(taken)
        upload = await gateway.append(ANA, file_id, 0, body(size))
        assert upload.progress.offset == size
        assert plain.steps.done[step] == 1
        await blobs.close()


def part(blobs: Blobs) -> Coroutine[Any, Any, object]:
    return blobs.write("5b/key", "upload", 1, [bytes(PIECE) for _ in range(PART_BYTES // PIECE)])


def whole(blobs: Blobs) -> Coroutine[Any, Any, object]:
    return blobs.put("5b/key", [bytes(PIECE) for _ in range(PART_BYTES // PIECE)], "text/plain")


@pytest.mark.parametrize("send", [part, whole])
async def test_what_is_sent_to_s3_is_one_piece_though_it_is_timed(
    monkeypatch: pytest.MonkeyPatch,
    taken: Callable[[], int],
    send: Callable[[Blobs], Coroutine[Any, Any, object]],
) -> None:
    async def call(*_: object, **parameters: object) -> dict[str, str]:
        await until_once(taken)
        assert parameters["body"]
        return {"ETag": "etag"}

    blobs = S3Blobs(Bucket("http://s3:7070", "files", "us-east-1", "key", "secret"))
    monkeypatch.setattr(blobs, "_call", call)
    await send(FileMetrics(CollectorRegistry()).blobs(blobs))
    await blobs.close()
