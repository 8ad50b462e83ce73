"""Uploading: what counts of bodies that end, break off, are stopped or fenced."""

import asyncio
import hashlib
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from chat4all.concurrency import room
from chat4all.domain.errors import (
    Busy,
    ChecksumMismatch,
    Conflict,
    Fenced,
    NotFound,
    Overloaded,
    TooLarge,
    Unavailable,
)
from chat4all.domain.files import (
    FileFacts,
    FileId,
    FileLimits,
    FileState,
    NewUpload,
    Upload,
)
from chat4all.domain.ids import Username
from chat4all.ports.blobs import Chunks
from chat4all.usecases import uploading as module
from chat4all.usecases.bodies import BodyBroken, Checksum
from chat4all.usecases.finishing import Finishing
from chat4all.usecases.uploading import Uploading
from chat4all.usecases.writing_parts import MEMORY_MIN
from tests.api.tus import PNG
from tests.attached import FakePictures
from tests.uploads import Body, World, being_added, until, until_read, world_in

pytestmark = pytest.mark.anyio

PART = 1_000
ANA, BRUNO = Username("ana"), Username("bruno")
_ids = itertools.count()


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[World]:
    monkeypatch.setattr("chat4all.usecases.writing_parts.PART_BYTES", PART)
    async with world_in(tmp_path) as found:
        yield found


def new(size: int, media_type: str = "application/octet-stream") -> NewUpload:
    file_id = FileId(f"01980f4e-9b2a-7c31-8d44-{next(_ids):012}")
    return NewUpload(file_id, ANA, size, "name", media_type, f"5b/{file_id}", "")


async def begun(gateway: Uploading, size: int) -> FileId:
    return (await gateway.begin(new(size))).file_id


async def offset_of(gateway: Uploading, file_id: FileId) -> int:
    return (await gateway.settled(ANA, file_id)).progress.offset


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_a_file_arrives_in_one_body(world: World) -> None:
    gateway, data = world.gateway(), b"abc" * PART
    file_id = await begun(gateway, len(data))
    pieces = [data[at : at + 70] for at in range(0, len(data), 70)]
    upload = await gateway.append(ANA, file_id, 0, aiter(Body(*pieces).end()))
    assert upload.state is FileState.READY
    assert upload.progress.offset == len(data)
    assert await world.content(file_id) == data
    assert (await world.file(file_id)).facts.sha256 == sha256(data)
    assert world.uploads.advanced == [PART, 2 * PART, 3 * PART]


async def test_a_file_is_what_its_first_bytes_say(world: World) -> None:
    gateway, found = world.gateway(), []
    for data in (PNG, b"x" + PNG):
        file_id = await begun(gateway, len(data))
        await gateway.append(ANA, file_id, 0, aiter(Body(data).end()))
        found.append((await world.file(file_id)).facts)
    seen = await FakePictures().look(world.blobs.read((await world.file(file_id)).key))
    picture = FileFacts(sha256(PNG), "image/png", seen.width, seen.height, seen.blurhash)
    assert found == [picture, FileFacts(sha256(b"x" + PNG), found[1].media_type)]
    assert found[1].media_type != "image/png"


async def test_an_empty_file_is_whole_at_once(world: World) -> None:
    upload = await world.gateway().begin(new(0))
    assert upload.state is FileState.READY
    assert await world.content(upload.file_id) == b""
    assert (await world.file(upload.file_id)).facts.sha256 == sha256(b"")


@pytest.mark.parametrize("others", [False, True], ids=["the same gateway", "another gateway"])
async def test_a_file_arrives_in_many_bodies(world: World, others: bool) -> None:
    """Their ends are no ends of parts. The hash goes on, or the file is read again."""
    data = random.Random(1).randbytes(2 * PART + 5)
    gateway = world.gateway()
    file_id = await begun(gateway, len(data))
    at = 0
    for size in (1, PART - 2, 3, 7, PART - 20, 16):
        if others:
            gateway = world.gateway()
        assert await offset_of(gateway, file_id) == at
        body = aiter(Body(data[at : at + size]).end())
        upload = await gateway.append(ANA, file_id, at, body)
        at += size
        assert upload.progress.offset == at
    assert at == len(data)
    assert await world.content(file_id) == data
    assert (await world.file(file_id)).facts.sha256 == sha256(data)
    assert not world.stored("*.tail.*")


async def test_what_was_hashed_is_not_read_again_after_a_break(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a gateway that had the whole body reads it from the store once more."""
    read_again = AsyncMock(side_effect=AssertionError("it was read again"))
    monkeypatch.setattr(Finishing, "_read_again", read_again)
    gateway, content = world.gateway(), random.Random(1).randbytes(3 * PART)
    file_id = await begun(gateway, len(content))
    at = PART + 7
    with pytest.raises(BodyBroken):
        await gateway.append(ANA, file_id, 0, aiter(Body(content[:at]).end(BodyBroken())))
    await gateway.append(ANA, file_id, at, aiter(Body(content[at:]).end()))
    assert (await world.file(file_id)).facts.sha256 == sha256(content)


async def test_what_arrived_counts_when_a_body_breaks_off(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun(gateway, 100)
    with pytest.raises(BodyBroken):
        await gateway.append(ANA, file_id, 0, aiter(Body(b"seven b").end(BodyBroken())))
    assert await offset_of(world.gateway(), file_id) == 7
    with pytest.raises(BodyBroken):
        await gateway.append(ANA, file_id, 7, aiter(Body().end(BodyBroken())))
    assert await offset_of(world.gateway(), file_id) == 7


async def test_another_offset_is_refused(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun(gateway, 100)
    await gateway.append(ANA, file_id, 0, aiter(Body(b"abc").end()))
    for offset in (0, 2, 4, 100):
        with pytest.raises(Conflict, match="offset 3"):
            await gateway.append(ANA, file_id, offset, aiter(Body(b"x").end()))
    assert await offset_of(gateway, file_id) == 3


async def test_bytes_beyond_the_end_are_refused(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun(gateway, 4)
    with pytest.raises(TooLarge):
        await gateway.append(ANA, file_id, 0, aiter(Body(b"abcde").end()))


async def test_a_file_that_is_too_large_is_not_begun(world: World) -> None:
    gateway = world.gateway(FileLimits(100, {"image": 10}))
    await gateway.begin(new(10, "image/png"))
    with pytest.raises(TooLarge):
        await gateway.begin(new(11, "image/png"))
    await gateway.begin(new(100, "video/mp4"))
    with pytest.raises(TooLarge):
        await gateway.begin(new(101, "video/mp4"))


async def test_a_second_body_waits_for_the_first(world: World) -> None:
    """Two clients on one upload: one wins, and nothing is mixed."""
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    first = Body(b"abc")
    adding = asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(first)))
    await until_read(first)
    for one in (gateway, world.gateway()):
        with pytest.raises(Busy):
            await one.append(ANA, file_id, 0, aiter(Body(b"xyz").end()))
    first.send(b"def").end()
    await adding
    assert await world.content(file_id) == b"abcdef"


async def test_asking_takes_an_upload_away_from_a_body_that_stands_still(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    stalled = Body(b"abc")
    adding = asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(stalled)))
    await until_read(stalled)
    assert await offset_of(gateway, file_id) == 3  # it had kept what had arrived
    with pytest.raises(Fenced):
        await adding
    await gateway.append(ANA, file_id, 3, aiter(Body(b"def").end()))
    assert await world.content(file_id) == b"abcdef"


async def test_asking_elsewhere_fences_a_body(world: World) -> None:
    gateway, other = world.gateway(), world.gateway()
    file_id = await begun(gateway, 6)
    stalled = Body(b"abc")
    adding = asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(stalled)))
    await until_read(stalled)
    assert await offset_of(other, file_id) == 0
    await other.append(ANA, file_id, 0, aiter(Body(b"uvwxyz").end()))
    stalled.send(b"def").end()
    with pytest.raises((Fenced, Conflict)):
        await adding
    assert await world.content(file_id) == b"uvwxyz"


async def test_a_stranger_stops_nothing(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    body = Body(b"abc")
    adding = await being_added(gateway, file_id, body)
    with pytest.raises(NotFound):
        await gateway.settled(BRUNO, file_id)
    with pytest.raises(NotFound):
        await gateway.end(BRUNO, file_id)
    body.send(b"def").end()
    await adding
    assert await world.content(file_id) == b"abcdef"


async def test_a_slow_body_keeps_its_hold(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.001)
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    body = Body(b"abc")
    adding = asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(body)))
    async with asyncio.timeout(10):
        while len(world.uploads.advanced) < 3:
            await asyncio.sleep(0.001)
    assert set(world.uploads.advanced) == {0}
    await world.uploads.take(file_id, ANA, force=True)
    with pytest.raises(Fenced):  # it hears of it though nothing arrives
        await adding


async def test_a_wrong_checksum_changes_nothing(world: World) -> None:
    gateway, data = world.gateway(), b"x" * (PART + 10)
    file_id = await begun(gateway, len(data))
    await gateway.append(ANA, file_id, 0, aiter(Body(data[:5]).end()))
    wrong = Checksum("sha1", hashlib.sha1(b"other").digest())
    with pytest.raises(ChecksumMismatch):
        await gateway.append(ANA, file_id, 5, aiter(Body(data[5:]).end()), wrong)
    assert await offset_of(gateway, file_id) == 5
    right = Checksum("sha256", hashlib.sha256(data[5:]).digest())
    with pytest.raises(BodyBroken):  # a body that breaks off cannot be verified
        await gateway.append(ANA, file_id, 5, aiter(Body(data[5:9]).end(BodyBroken())), right)
    assert await offset_of(gateway, file_id) == 5
    await gateway.append(ANA, file_id, 5, aiter(Body(data[5:]).end()), right)
    assert await world.content(file_id) == data
    assert (await world.file(file_id)).facts.sha256 == sha256(data)


async def cut_off(world: World, gateway: Uploading) -> FileId:
    """Return an upload that has all its bytes, and whose finish has failed."""

    async def broken() -> None:
        raise Unavailable("away")

    file_id = await begun(gateway, 3)
    world.steps.before["finish"] = broken
    with pytest.raises(Unavailable):
        await gateway.append(ANA, file_id, 0, aiter(Body(b"abc").end()))
    del world.steps.before["finish"]
    return file_id


async def finishing(
    world: World, gateway: Uploading
) -> tuple[FileId, "asyncio.Task[Upload]", asyncio.Event]:
    """Return an upload that is being finished, by whom, and what lets that end."""
    begins, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begins.set()
        await may_end.wait()

    file_id = await begun(gateway, 3)
    world.steps.before["finish"] = slow
    adding = asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(Body(b"abc").end())))
    await begins.wait()
    return file_id, adding, may_end


async def test_a_finish_that_was_cut_off_is_done_by_whoever_asks(world: World) -> None:
    file_id = await cut_off(world, world.gateway())
    with pytest.raises(NotFound):
        await world.file(file_id)
    upload = await world.gateway().settled(ANA, file_id)
    assert (upload.state, upload.progress.offset) == (FileState.READY, 3)
    assert (await world.file(file_id)).facts.sha256 == sha256(b"abc")


async def test_of_those_who_ask_at_once_one_finishes(world: World) -> None:
    """Fails when each does: on one machine the two would take each other's parts away."""
    gateway = world.gateway()
    file_id = await cut_off(world, gateway)
    before, found = await world.fence(file_id), world.steps.done["find"]

    async def all_have_asked() -> None:
        await world.steps.until_done("find", found + 3)

    world.steps.before["take"] = all_have_asked
    states = await asyncio.gather(*(gateway.settled(ANA, file_id) for _ in range(3)))
    assert {one.state for one in states} == {FileState.READY}
    assert await world.fence(file_id) <= before + 1


async def test_a_finish_that_is_taken_away_is_told_to_those_who_wait(world: World) -> None:
    gateway = world.gateway()
    file_id, adding, _ = await finishing(world, gateway)
    asking = asyncio.create_task(gateway.settled(ANA, file_id))
    await world.steps.until_done("find", 1)
    for task in [*gateway._finishings.values()]:
        task.cancel()
    with pytest.raises(Fenced):
        await asking
    await asyncio.gather(adding, return_exceptions=True)


async def test_bodies_with_wrong_checksums_do_not_fill_the_store(world: World) -> None:
    gateway, data = world.gateway(), b"x" * (3 * PART)
    file_id = await begun(gateway, len(data))
    wrong = Checksum("sha1", hashlib.sha1(b"other").digest())
    for _ in range(3):
        with pytest.raises(ChecksumMismatch):
            await gateway.append(ANA, file_id, 0, aiter(Body(data).end()), wrong)
    assert sum(path.stat().st_size for path in world.stored()) < PART


async def test_small_pieces_are_joined(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when each is kept by itself: single bytes would take fifty times as much."""
    gateway, given = world.gateway(), list[int]()
    put = world.blobs.put

    async def noted(key: str, data: Chunks, media_type: str) -> None:
        given.append(len(data))
        await put(key, data, media_type)

    monkeypatch.setattr(world.blobs, "put", noted)
    file_id = await begun(gateway, PART)
    await gateway.append(ANA, file_id, 0, aiter(Body(*[b"x"] * (PART - 1)).end()))
    assert given == [1]
    assert await offset_of(gateway, file_id) == PART - 1


async def test_asking_while_it_is_finished_waits(world: World) -> None:
    gateway = world.gateway()
    file_id, adding, may_end = await finishing(world, gateway)
    asking = asyncio.create_task(gateway.settled(ANA, file_id))
    await world.steps.until_done("find", 1)
    may_end.set()
    assert (await asking).state is FileState.READY
    assert (await adding).state is FileState.READY
    assert await world.fence(file_id) == 1  # nobody took it away


async def test_at_most_three_parts_are_in_memory(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun(gateway, 10 * PART)
    may_write = asyncio.Event()

    async def held() -> None:
        await may_write.wait()

    world.steps.before["write"] = held
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(10 * 8):
            read += PART // 8
            yield bytes(PART // 8)

    adding = asyncio.create_task(gateway.append(ANA, file_id, 0, body()))
    await until(lambda: read >= 3 * PART)
    for _ in range(200):
        await asyncio.sleep(0)
    assert read == 3 * PART  # two are being written, one is full
    may_write.set()
    assert (await adding).state is FileState.READY
    assert world.steps.most["write"] == 2


async def test_a_gateway_that_ends_keeps_what_has_arrived(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    body = Body(b"abc")
    adding = await being_added(gateway, file_id, body)
    gateway.stop()
    with pytest.raises(Overloaded):
        await adding
    with pytest.raises(Overloaded):
        await gateway.append(ANA, file_id, 3, aiter(Body(b"def").end()))
    other = world.gateway()
    assert await offset_of(other, file_id) == 3


async def test_a_body_that_comes_while_a_gateway_ends_is_not_read(world: World) -> None:
    gateway, may_take = world.gateway(), asyncio.Event()

    async def blocked() -> None:
        await may_take.wait()

    file_id = await begun(gateway, 6)
    world.steps.before["take"] = blocked
    body = Body(b"abc").end()
    adding = asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(body)))
    await world.steps.until_begun("take")
    gateway.stop()
    may_take.set()
    with pytest.raises(Overloaded, match="ending"):
        await adding
    assert not body._pieces.empty()
    assert await offset_of(world.gateway(), file_id) == 0


async def test_a_slow_body_lets_go_when_others_wait_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when bodies that trickle keep the memory of all for themselves."""
    monkeypatch.setattr(module, "MEMORY", MEMORY_MIN)
    monkeypatch.setattr(room, "OWNERS_MIN", 1)
    monkeypatch.setattr(room, "LOOK_EVERY_SECONDS", 0.01)
    gateway = world.gateway()
    slow, fast = Body(b"abc"), Body(b"xyz")
    one = await begun(gateway, 6)
    other = (await gateway.begin(replace(new(6), owner=BRUNO))).file_id
    trickling = asyncio.create_task(gateway.append(ANA, one, 0, aiter(slow)))
    await until_read(slow)
    adding = asyncio.create_task(gateway.append(BRUNO, other, 0, aiter(fast)))
    await until(lambda: bool(gateway._memory._turns))
    assert not trickling.done()
    monkeypatch.setattr(room, "SLOW_SECONDS", 0.0)
    with pytest.raises(Overloaded, match="others wait"):
        await trickling
    fast.send(b"uvw").end()
    assert (await adding).state is FileState.READY
    assert await offset_of(gateway, one) == 3
    await gateway.append(ANA, one, 3, aiter(Body(b"def").end()))
    assert await world.content(one) == b"abcdef"


async def test_an_upload_that_is_given_up_is_gone(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    body = Body(b"abc")
    adding = await being_added(gateway, file_id, body)
    await gateway.end(ANA, file_id)
    with pytest.raises((Fenced, NotFound)):
        await adding
    with pytest.raises(NotFound):
        await gateway.settled(ANA, file_id)


async def test_a_part_that_cannot_be_written_fails_the_request(world: World) -> None:
    async def broken() -> None:
        raise Unavailable("away")

    gateway, data = world.gateway(), bytes(3 * PART)
    file_id = await begun(gateway, len(data))
    await gateway.append(ANA, file_id, 0, aiter(Body(data[: PART + 3]).end()))
    world.steps.before["write"] = broken
    with pytest.raises(Unavailable):
        await gateway.append(ANA, file_id, PART + 3, aiter(Body(data[PART + 3 :]).end()))
    del world.steps.before["write"]
    assert await offset_of(gateway, file_id) == PART + 3
    rest = aiter(Body(data[PART + 3 :]).end())
    upload: Upload = await gateway.append(ANA, file_id, PART + 3, rest)
    assert upload.state is FileState.READY
    assert (await world.file(file_id)).facts.sha256 == sha256(data)
