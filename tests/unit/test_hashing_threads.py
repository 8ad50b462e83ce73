"""Hashes of files are made in threads with a low priority, not in those that messages wait for."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.s3 import S3Blobs
from chat4all.domain.buckets import Bucket
from chat4all.domain.files import FileId, FileState, NewUpload
from chat4all.usecases import finishing
from tests.contract.test_directory import ANA
from tests.uploads import Body, world_in

pytestmark = pytest.mark.anyio

PART = 4


def thread() -> str:
    return threading.current_thread().name.rpartition("_")[0]


class Digest:
    """A hash that notes where it is made."""

    def __init__(self) -> None:
        self.size = 0
        self.threads = set[str]()

    def update(self, data: bytes) -> None:
        self.size += len(data)
        self.threads.add(thread())

    def hexdigest(self) -> str:
        return "ab" * 32


async def test_a_file_that_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("chat4all.usecases.writing_parts.PART_BYTES", PART)
    digest = Digest()
    monkeypatch.setattr(finishing, "new_digest", lambda: digest)
    file_id = FileId("01980f4e-9b2a-7c31-8d44-5a1f2e3d4c5b")
    new = NewUpload(file_id, ANA, 6, "name", "text/plain", f"5b/{file_id}", "")
    async with world_in(tmp_path) as world:
        gateway = world.gateway()
        await gateway.begin(new)
        await gateway.append(ANA, file_id, 0, aiter(Body(b"abcd").end()))
        # Another one has no hash of the first part.
        upload = await world.gateway().append(ANA, file_id, 4, aiter(Body(b"ef").end()))
    assert upload.state is FileState.READY
    assert (digest.size, digest.threads) == (6, {"hasher"})


class Noting(tuple[bytes, ...]):
    """Pieces that note where they are joined."""

    threads: list[str]

    def __iter__(self) -> Iterator[bytes]:
        self.threads.append(thread())
        return super().__iter__()


class Store:
    """An S3 client that takes everything."""

    async def upload_part(self, **_: object) -> Mapping[str, Any]:
        return {"ETag": "e"}

    put_object = upload_part


async def test_a_body_for_s3() -> None:
    blobs = S3Blobs(Bucket("http://minio:9000", "files", "us-east-1", "a", "s"))
    blobs._client = Store()
    pieces = Noting((b"abc", b"def"))
    pieces.threads = []
    assert (await blobs.write("5b/key", "upload", 1, pieces)).size == 6
    await blobs.put("5b/key", pieces, "text/plain")
    await blobs.close()
    assert pieces.threads == ["s3-hasher", "s3-hasher"]
