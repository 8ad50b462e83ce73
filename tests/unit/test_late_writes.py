"""What is written to the store of files after its file was given up and deleted."""

import asyncio

import pytest

from chat4all.domain.errors import NotFound
from chat4all.domain.files import FileFacts, FileId, StoredFile, thumbnail_key
from chat4all.ports.blobs import Chunks
from chat4all.usecases.picturing import Picturing
from chat4all.usecases.uploading import Uploading
from tests.attached import FakePictures
from tests.unit.test_uploading import ANA, PART, World, begun, until_read
from tests.uploads import Body, MemoryBlobs

pytestmark = pytest.mark.anyio

KEY = "5b/one"
FACTS = FileFacts("ab" * 32, "image/png", 1200, 800)
FILE = StoredFile(FileId("one"), ANA, 3, "name", KEY, FACTS, 0)


class SlowPut(MemoryBlobs):
    """A store that takes an object only when a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def put(self, key: str, data: Chunks, media_type: str) -> None:
        self.asked.set()
        await self.let.wait()
        await super().put(key, data, media_type)


async def sending(gateway: Uploading, file_id: FileId) -> tuple[Body, "asyncio.Task[object]"]:
    """Begin a body that ends before the upload does."""
    body = Body(b"abc")
    task: asyncio.Task[object] = asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(body)))
    await until_read(body)
    return body, task


async def test_a_tail_that_comes_after_its_upload_was_given_up_is_deleted() -> None:
    blobs = SlowPut()
    world = World(blobs=blobs)
    file_id = await begun(world.gateway(), PART)
    body, task = await sending(world.gateway(), file_id)
    body.end()
    await blobs.asked.wait()
    await world.gateway().end(ANA, file_id)
    blobs.let.set()
    with pytest.raises(NotFound):
        await task
    assert blobs.objects == {}


async def test_nothing_is_written_that_nobody_would_delete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an upload of which was heard so long ago that its garbage may be collected by now."""
    monkeypatch.setattr("chat4all.usecases.writing_parts.LEASE_SECONDS", -1)
    blobs = SlowPut()
    blobs.let.set()
    world = World(blobs=blobs)
    file_id = await begun(world.gateway(), PART)
    body, task = await sending(world.gateway(), file_id)
    await world.gateway().end(ANA, file_id)
    body.end()
    with pytest.raises(NotFound):
        await task
    assert not blobs.asked.is_set()


async def test_a_thumbnail_that_took_long_is_shown_and_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blobs, pictures = MemoryBlobs(), FakePictures()
    blobs.objects[KEY] = b"png"
    picturing = Picturing(blobs, pictures)
    with monkeypatch.context() as patched:
        patched.setattr("chat4all.usecases.picturing.KEEP_SECONDS", -1)
        assert await picturing.thumbnail(FILE, 128)
    assert set(blobs.objects) == {KEY}
    assert await picturing.thumbnail(FILE, 128)
    assert set(blobs.objects) == {KEY, thumbnail_key(KEY, 128)}
