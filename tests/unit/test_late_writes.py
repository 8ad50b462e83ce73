"""What is written to the store of files after its file was given up and deleted."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from chat4all.domain.errors import NotFound
from chat4all.domain.files import FileFacts, FileId, StoredFile
from chat4all.usecases.picturing import KEEP_SECONDS, Picturing
from tests.attached import FakePictures
from tests.unit.test_uploading import ANA, PART, begun
from tests.uploads import Body, World, until_read, world_in

pytestmark = pytest.mark.anyio

KEY = "5b/one"
FACTS = FileFacts("ab" * 32, "image/png", 1200, 800)
FILE = StoredFile(FileId("one"), ANA, 3, "name", KEY, FACTS, 0)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[World]:
    monkeypatch.setattr("chat4all.usecases.writing_parts.PART_BYTES", PART)
    async with world_in(tmp_path) as found:
        yield found


async def sending(world: World) -> tuple[FileId, Body, "asyncio.Task[object]"]:
    """Begin a body that ends before the upload does."""
    gateway, body = world.gateway(), Body(b"abc")
    file_id = await begun(gateway, PART)
    task: asyncio.Task[object] = asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(body)))
    await until_read(body)
    return file_id, body, task


async def test_a_tail_that_comes_after_its_upload_was_given_up_is_deleted(world: World) -> None:
    let = asyncio.Event()

    async def wait() -> None:
        await let.wait()

    world.steps.before["put"] = wait
    file_id, body, task = await sending(world)
    body.end()
    await world.steps.until_begun("put")
    await world.gateway().end(ANA, file_id)
    let.set()
    with pytest.raises(NotFound):
        await task
    assert world.steps.done["put"] == 1
    assert not world.stored()


async def test_nothing_is_written_that_nobody_would_delete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an upload of which was heard so long ago that its garbage may be collected by now."""
    monkeypatch.setattr("chat4all.usecases.writing_parts.LEASE_SECONDS", -1)
    file_id, body, task = await sending(world)
    await world.gateway().end(ANA, file_id)
    body.end()
    with pytest.raises(NotFound):
        await task
    assert not world.steps.begun["put"]


async def test_a_thumbnail_that_took_long_is_shown_and_not_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.blobs.put(KEY, [b"png"], "image/png")
    picturing = Picturing(world.blobs, FakePictures())
    with monkeypatch.context() as patched:
        patched.setattr("chat4all.usecases.picturing.KEEP_SECONDS", -1)
        assert await picturing.thumbnail(FILE, 128, ANA, partial(world.blobs.read, KEY))
    assert len(world.stored()) == 1
    assert await picturing.thumbnail(FILE, 128, ANA, partial(world.blobs.read, KEY))
    assert len(world.stored()) == 2


async def test_a_thumbnail_that_waited_for_its_turn_is_not_kept_either(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when the time of another one, and of looking for it, does not count."""
    await world.blobs.put(KEY, [b"png"], "image/png")
    picturing, first, now = Picturing(world.blobs, FakePictures()), world.blobs.read, [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0] + time.monotonic())
    monkeypatch.setattr("chat4all.usecases.picturing.time", clock)

    async def slow(key: str, *span: int) -> AsyncIterator[bytes]:
        if key != KEY:
            now[0] += KEEP_SECONDS
        async for piece in first(key, *span):
            yield piece

    with monkeypatch.context() as patched:
        patched.setattr(world.blobs, "read", slow)
        assert await picturing.thumbnail(FILE, 128, ANA, partial(world.blobs.read, KEY))
    assert len(world.stored()) == 1
    assert await picturing.thumbnail(FILE, 128, ANA, partial(world.blobs.read, KEY))
    assert len(world.stored()) == 2
