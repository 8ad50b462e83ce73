"""Uploads of which the store has lost bytes are given up, so that their clients begin anew."""

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from chat4all.concurrency.retrying import Backoff
from chat4all.domain.errors import Conflict, Fenced, NotFound, Unavailable
from chat4all.domain.files import FileId, StoredPart
from chat4all.usecases import finishing as module
from chat4all.usecases.uploading import Uploading
from tests.unit.test_uploading import ANA, PART, begun, offset_of
from tests.uploads import Body, World, world_in

pytestmark = pytest.mark.anyio

LOST = "bytes of this upload were lost in the store of files: begin the upload again"


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[World]:
    monkeypatch.setattr("chat4all.usecases.writing_parts.PART_BYTES", PART)
    monkeypatch.setattr(module, "JOINING", Backoff(0.0, 0.0, tries=2))
    async with world_in(tmp_path) as found:
        yield found


async def added(gateway: Uploading, file_id: FileId, offset: int, data: bytes) -> None:
    await gateway.append(ANA, file_id, offset, aiter(Body(data).end()))


async def begun_with(gateway: Uploading, size: int, data: bytes) -> FileId:
    file_id = await begun(gateway, size)
    await added(gateway, file_id, 0, data)
    return file_id


async def check_given_up(
    world: World, gateway: Uploading, file_id: FileId, caplog: pytest.LogCaptureFixture
) -> None:
    (line,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert line.__dict__["file_id"] == file_id
    with pytest.raises(NotFound, match="no such file"):
        await gateway.settled(ANA, file_id)
    assert await world.files.used(ANA) == 0


@pytest.mark.parametrize("is_cut_short", [False, True], ids=["gone", "cut short"])
async def test_an_upload_whose_tail_is_lost_is_given_up(
    world: World, caplog: pytest.LogCaptureFixture, is_cut_short: bool
) -> None:
    gateway = world.gateway()
    file_id = await begun_with(gateway, 6, b"abc")
    (tail,) = world.stored()
    if is_cut_short:
        os.truncate(tail, 1)
    else:
        tail.unlink()
    with pytest.raises(Unavailable) as told:
        await added(gateway, file_id, 3, b"def")
    assert told.value.public == LOST
    await check_given_up(world, gateway, file_id, caplog)


@pytest.mark.parametrize("is_cut_short", [False, True], ids=["gone", "cut short"])
async def test_an_upload_of_which_a_part_is_lost_is_given_up(
    world: World, caplog: pytest.LogCaptureFixture, is_cut_short: bool
) -> None:
    """It is found out once all parts are there."""
    gateway = world.gateway()
    file_id = await begun_with(gateway, 3 * PART, bytes(2 * PART))
    first = min(world.stored())
    if is_cut_short:
        os.truncate(first, PART - 1)
    else:
        first.unlink()
    with pytest.raises(Unavailable) as told:
        await added(gateway, file_id, 2 * PART, bytes(PART))
    assert told.value.public == LOST
    await check_given_up(world, gateway, file_id, caplog)


async def test_who_asks_for_an_upload_finds_out_too(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Of one that has all its bytes, and whose finish was cut off after its parts were joined."""

    async def broken() -> None:
        raise Unavailable("away")

    gateway = world.gateway()
    file_id = await begun(gateway, 2 * PART)
    world.steps.before["finish"] = broken
    with pytest.raises(Unavailable):
        await added(gateway, file_id, 0, bytes(2 * PART))
    del world.steps.before["finish"]
    next(one for one in world.stored() if one.name != "order").unlink()
    with pytest.raises(Unavailable) as told:
        await gateway.settled(ANA, file_id)
    assert told.value.public == LOST
    await check_given_up(world, gateway, file_id, caplog)


async def test_an_upload_that_the_store_does_not_know_any_more_is_given_up(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A rule of a bucket ends those that take longer than some days."""
    gateway = world.gateway()
    file_id = await begun_with(gateway, 6 * PART, bytes(PART))
    upload = await world.uploads.find(file_id, ANA)
    await world.blobs.abort(upload.key, upload.store_upload)
    with pytest.raises(Unavailable) as told:
        await added(gateway, file_id, PART, bytes(4 * PART))
    assert told.value.public == LOST
    await check_given_up(world, gateway, file_id, caplog)


async def test_a_request_that_was_overtaken_gives_nothing_up(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The tail that it misses is a part by now, or belongs to a longer one."""
    slow, alive = world.gateway(), world.gateway()
    file_id = await begun_with(alive, 6, b"ab")
    read = world.blobs.read

    async def late(key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        monkeypatch.setattr(world.blobs, "read", read)
        assert await offset_of(alive, file_id) == 2
        await added(alive, file_id, 2, b"cd")
        async for piece in read(key, start, length):
            yield piece

    monkeypatch.setattr(world.blobs, "read", late)
    with pytest.raises(Fenced):
        await added(slow, file_id, 2, b"xyz")
    await added(alive, file_id, 4, b"ef")
    assert await world.content(file_id) == b"abcdef"
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


async def test_an_upload_that_is_ended_meanwhile_is_not_lost(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = world.gateway()
    file_id = await begun_with(gateway, 3 * PART, b"abc")
    upload = await world.uploads.find(file_id, ANA)

    async def ended() -> None:
        del world.steps.before["write"]
        await world.gateway().end(ANA, file_id)
        await world.blobs.abort(upload.key, upload.store_upload)

    world.steps.before["write"] = ended
    with pytest.raises(NotFound):
        await added(gateway, file_id, 3, bytes(2 * PART))
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


async def test_parts_that_another_request_has_just_joined_are_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a store's first word counts, which it says while they become the object."""
    finish, said = world.blobs.finish, list[str]()

    async def joined_meanwhile(key: str, upload: str, parts: Sequence[StoredPart]) -> None:
        await finish(key, upload, parts)
        if not said:
            said.append(key)
            raise Conflict("part 1 of the upload is not the one that was written")

    monkeypatch.setattr(world.blobs, "finish", joined_meanwhile)
    data = os.urandom(2 * PART)
    file_id = await begun_with(world.gateway(), 2 * PART, data)
    assert said
    assert await world.content(file_id) == data


async def test_a_store_that_is_away_has_lost_nothing(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun_with(gateway, 6, b"abc")
    aside = world.folder.rename(world.folder.with_name("aside"))
    with pytest.raises(Unavailable):
        await added(gateway, file_id, 3, b"def")
    aside.rename(world.folder)
    await world.blobs.ping()  # it looks at once
    assert await offset_of(gateway, file_id) == 3
    await added(gateway, file_id, 3, b"def")
    assert await world.content(file_id) == b"abcdef"
