"""What an upload is left as by requests that are refused, end early, or hold it for long."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from chat4all.domain.errors import (
    Busy,
    ChecksumMismatch,
    Conflict,
    Fenced,
    OutcomeUnknown,
    Overloaded,
    QuotaReached,
    TooLarge,
    Unavailable,
)
from chat4all.domain.files import FileState
from chat4all.domain.own_files import FileOrder
from chat4all.usecases import uploading as module
from chat4all.usecases.bodies import BodyBroken, Checksum
from tests.unit.test_uploading import (
    ANA,
    PART,
    begun,
    cut_off,
    finishing,
    new,
    offset_of,
    sha256,
)
from tests.uploads import Body, World, being_added, until_read, world_in

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[World]:
    monkeypatch.setattr("chat4all.usecases.writing_parts.PART_BYTES", PART)
    async with world_in(tmp_path) as found:
        yield found


@pytest.mark.parametrize("error", [QuotaReached("no room"), asyncio.CancelledError()])
@pytest.mark.parametrize("is_away", [False, True])
async def test_an_upload_that_is_not_begun_leaves_nothing_in_the_store(
    world: World, monkeypatch: pytest.MonkeyPatch, error: BaseException, is_away: bool
) -> None:
    """Nobody knows of it, and nobody would delete it. Nor does the store's error hide why."""
    begin = AsyncMock(return_value="its upload")
    abort = AsyncMock(side_effect=Unavailable("away") if is_away else None)
    monkeypatch.setattr(world.blobs, "begin", begin)
    monkeypatch.setattr(world.blobs, "abort", abort)
    monkeypatch.setattr(world.uploads, "create", AsyncMock(side_effect=error))
    upload = new(3)
    with pytest.raises(type(error)):
        await world.gateway().begin(upload)
    begin.assert_awaited_once_with(upload.key, upload.media_type)
    abort.assert_awaited_once_with(upload.key, "its upload")


def losing(call: Callable[..., Any]) -> AsyncMock:
    """Do what a call does, and lose the answer."""

    async def lost(*arguments: Any, **named: Any) -> None:
        await call(*arguments, **named)
        raise OutcomeUnknown("the answer was lost")

    return AsyncMock(side_effect=lost)


async def test_an_upload_that_may_be_begun_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client looks, and must find none whose bytes nobody takes."""
    abort = AsyncMock()
    monkeypatch.setattr(world.blobs, "abort", abort)
    monkeypatch.setattr(world.uploads, "create", losing(world.uploads.create))
    upload = new(3)
    with pytest.raises(OutcomeUnknown):
        await world.gateway().begin(upload)
    assert not await world.files.own(ANA, FileOrder.NEWEST, 10)
    abort.assert_awaited_once()


async def test_one_that_was_not_begun_after_all_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    abort = AsyncMock()
    monkeypatch.setattr(world.blobs, "abort", abort)
    monkeypatch.setattr(world.uploads, "create", AsyncMock(side_effect=OutcomeUnknown("lost")))
    with pytest.raises(OutcomeUnknown):
        await world.gateway().begin(new(3))
    abort.assert_awaited_once()


async def test_one_that_may_be_there_still_can_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.uploads, "create", losing(world.uploads.create))
    monkeypatch.setattr(world.uploads, "end", AsyncMock(side_effect=OutcomeUnknown("lost too")))
    gateway, upload = world.gateway(), new(3)
    with pytest.raises(OutcomeUnknown, match="the answer was lost"):
        await gateway.begin(upload)
    assert await offset_of(gateway, upload.file_id) == 0
    await gateway.append(ANA, upload.file_id, 0, aiter(Body(b"abc").end()))
    assert await world.content(upload.file_id) == b"abc"


@pytest.mark.parametrize("is_away", [False, True])
async def test_an_empty_file_that_is_not_finished_is_none(
    world: World, monkeypatch: pytest.MonkeyPatch, is_away: bool
) -> None:
    """Or it is said that it may be there: any other refusal means that nothing was done."""
    monkeypatch.setattr(world.uploads, "take", AsyncMock(side_effect=Unavailable("away")))
    if is_away:
        monkeypatch.setattr(world.uploads, "end", AsyncMock(side_effect=Unavailable("away too")))
    with pytest.raises(Unavailable) as refused:
        await world.gateway().begin(new(0))
    assert isinstance(refused.value, OutcomeUnknown) == is_away
    assert bool(await world.files.own(ANA, FileOrder.NEWEST, 10)) == is_away


async def test_an_upload_has_the_name_that_the_store_gave_it(world: World) -> None:
    upload = await world.gateway().begin(new(3))
    assert upload.store_upload
    found = await world.uploads.find(upload.file_id, ANA)
    assert found.store_upload == upload.store_upload
    assert not world.steps.begun["take"]  # until its client shows that it heard of it


async def test_a_finish_that_takes_long_is_told_to_who_asks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on. Whoever would take it over would begin it anew, and so would the next."""
    gateway = world.gateway()
    file_id, adding, may_end = await finishing(world, gateway)
    with monkeypatch.context() as patched:
        patched.setattr(module, "FINISH_SECONDS", 0.01)
        for one in (gateway, world.gateway()):
            with pytest.raises(Busy):
                await one.settled(ANA, file_id)
    assert not adding.done()
    may_end.set()
    assert (await adding).state is FileState.READY
    assert await world.fence(file_id) == 1
    assert world.steps.begun["finish"] == 1


async def test_all_who_wait_for_a_finish_are_told_in_their_time(world: World) -> None:
    """Fails when each waits its whole time after the one before it: the last for minutes."""
    gateway = world.gateway()
    file_id, adding, may_end = await finishing(world, gateway)
    first = asyncio.create_task(gateway.settled(ANA, file_id, 30))
    await world.steps.until_done("find")
    told = (gateway.settled(ANA, file_id, 0.1) for _ in range(3))
    for error in await asyncio.gather(*told, return_exceptions=True):
        assert isinstance(error, Busy)
    assert not first.done()
    may_end.set()
    assert {(await adding).state, (await first).state} == {FileState.READY}


async def test_who_finishes_it_is_not_cut_off(world: World) -> None:
    """The next one would begin anew, and be cut off as well."""
    gateway, may_end, seconds = world.gateway(), asyncio.Event(), 2.0
    file_id = await cut_off(world, gateway)

    async def slow() -> None:
        await may_end.wait()

    world.steps.before["finish"] = slow
    begun_before = world.steps.begun["finish"]
    asking = asyncio.create_task(gateway.settled(ANA, file_id, seconds))
    await world.steps.until_begun("finish", begun_before + 1)
    with pytest.raises(Busy):
        await gateway.settled(ANA, file_id, seconds)
    assert not asking.done()
    may_end.set()
    assert (await asking).state is FileState.READY


async def test_a_request_that_does_not_let_go_is_fenced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LET_GO_SECONDS", 0.01)
    gateway, may_write = world.gateway(), asyncio.Event()

    async def held() -> None:
        await may_write.wait()

    file_id = await begun(gateway, 2 * PART)
    world.steps.before["write"] = held
    body = Body(bytes(PART))
    adding = asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(body)))
    await world.steps.until_begun("write")
    assert await offset_of(gateway, file_id) == 0
    assert not adding.done()
    may_write.set()
    with pytest.raises(Fenced):
        await adding
    assert await offset_of(gateway, file_id) == 0


async def test_a_request_that_lost_its_hold_ends_before_the_next_one_begins(world: World) -> None:
    """It has memory, and reads a body, that come to nothing."""
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    body = Body(b"abc")
    adding = await being_added(gateway, file_id, body)
    await world.uploads.release(file_id, await world.fence(file_id))  # as if its lease had ended
    await gateway.append(ANA, file_id, 0, aiter(Body(b"uvwxyz").end()))
    assert adding.done()
    with pytest.raises(Fenced):
        await adding
    assert await world.content(file_id) == b"uvwxyz"


async def test_ends_of_bodies_that_were_left_are_deleted_with_the_finish(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed after its progress counts has not deleted what counted before."""
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    await gateway.append(ANA, file_id, 0, aiter(Body(b"ab").end()))
    with monkeypatch.context() as patched:
        patched.setattr(world.blobs, "delete", AsyncMock(side_effect=Unavailable("away")))
        await gateway.append(ANA, file_id, 2, aiter(Body(b"cd").end()))
    assert len(world.stored("*.tail.*")) == 2
    await gateway.append(ANA, file_id, 4, aiter(Body(b"ef").end()))
    assert not world.stored("*.tail.*")
    assert await world.content(file_id) == b"abcdef"


@pytest.mark.parametrize("error", [None, BodyBroken()])
async def test_a_body_without_bytes_takes_nothing_away(
    world: World, error: Exception | None
) -> None:
    """Not the end of the one before it either, which it had no reason to read."""
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    await gateway.append(ANA, file_id, 0, aiter(Body(b"abc").end()))
    with suppress(BodyBroken):
        await gateway.append(ANA, file_id, 3, aiter(Body().end(error)))
    assert len(world.stored("*.tail.*")) == 1
    await gateway.append(ANA, file_id, 3, aiter(Body(b"def").end()))
    assert await world.content(file_id) == b"abcdef"


async def test_a_request_that_is_cancelled_lets_go(world: World) -> None:
    """Nobody reads its body any more; the next one need not wait for the lease to end."""
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    body = Body(b"abc")
    adding = await being_added(gateway, file_id, body)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    await world.gateway().append(ANA, file_id, 0, aiter(Body(b"abcdef").end()))
    assert await world.content(file_id) == b"abcdef"


async def test_all_bodies_are_kept_when_a_gateway_ends(world: World) -> None:
    gateway = world.gateway()
    uploads = [(await begun(gateway, 6), Body(b"abc")) for _ in range(3)]
    adding = [
        asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(body)))
        for file_id, body in uploads
    ]
    for _, body in uploads:
        await until_read(body)
    gateway.stop()
    for one in adding:
        with pytest.raises(Overloaded, match="this gateway is ending"):
            await one
    for file_id, _ in uploads:
        assert (await world.uploads.find(file_id, ANA)).progress.offset == 3
        assert (await world.uploads.take(file_id, ANA, force=False)).fence  # nobody holds it


async def test_a_body_that_is_known_to_be_too_long_is_not_read(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    await gateway.append(ANA, file_id, 0, aiter(Body(b"abc").end()), length=3)
    body = Body(b"defg").end()
    with pytest.raises(TooLarge, match="the upload has 6 bytes"):
        await gateway.append(ANA, file_id, 3, aiter(body), length=4)
    assert body._pieces.qsize() == 2  # the bytes, and the end
    upload = await gateway.append(ANA, file_id, 3, aiter(Body(b"def").end()), length=3)
    assert upload.state is FileState.READY


async def test_bytes_beyond_the_end_never_count(world: World) -> None:
    """They would fill a part that has more bytes than there are."""
    gateway, data = world.gateway(), b"x" * PART + b"y" * (PART // 2)
    file_id = await begun(gateway, len(data))
    with pytest.raises(TooLarge):
        await gateway.append(ANA, file_id, 0, aiter(Body(data + bytes(PART)).end()))
    at = await offset_of(gateway, file_id)
    assert 0 < at <= len(data)
    with pytest.raises(TooLarge):
        await gateway.append(ANA, file_id, at, aiter(Body(data[at:] + b"z").end()))
    at = await offset_of(gateway, file_id)
    await gateway.append(ANA, file_id, at, aiter(Body(data[at:]).end()))
    assert await world.content(file_id) == data


async def test_what_was_acknowledged_stays_when_a_checksum_is_wrong(world: World) -> None:
    """Parts of the body that is refused are emptied in the store, and no others."""
    gateway, data = world.gateway(), b"".join(bytes([number]) * PART for number in b"abc")
    file_id = await begun(gateway, len(data))
    await gateway.append(ANA, file_id, 0, aiter(Body(data[:PART]).end()))
    wrong = Checksum("sha1", hashlib.sha1(b"other").digest())
    with pytest.raises(ChecksumMismatch):
        await gateway.append(ANA, file_id, PART, aiter(Body(data[PART:]).end()), wrong)
    assert await offset_of(gateway, file_id) == PART
    await gateway.append(ANA, file_id, PART, aiter(Body(data[PART:]).end()))
    assert await world.content(file_id) == data


@pytest.mark.parametrize(("size", "held"), [(10 * PART, PART), (PART + 6, PART), (6, 6)])
async def test_a_body_takes_memory_for_one_part_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch, size: int, held: int
) -> None:
    """Else a large upload would wait for more than anybody may have."""
    monkeypatch.setattr("chat4all.usecases.writing_parts.MEMORY_MIN", 1)
    gateway, body = world.gateway(), Body(b"abc")
    file_id = await begun(gateway, size)
    adding = await being_added(gateway, file_id, body)
    assert gateway._memory.held == held
    body.send(bytes(size - 3)).end()
    assert (await adding).state is FileState.READY
    assert gateway._memory.held == 0


async def test_a_lease_that_cannot_be_given_back_ends_by_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the request came to is answered all the same."""
    gateway = world.gateway()
    file_id = await begun(gateway, 6)
    release = AsyncMock(side_effect=Unavailable("no answer"))
    monkeypatch.setattr(world.uploads, "release", release)
    upload = await gateway.append(ANA, file_id, 0, aiter(Body(b"abc").end()))
    assert upload.progress.offset == 3
    release.assert_awaited_with(file_id, upload.fence)
    with pytest.raises(Busy):
        await gateway.append(ANA, file_id, 3, aiter(Body(b"def").end()))


async def test_a_body_that_is_sent_again_after_the_end_is_not_read(world: World) -> None:
    """Its client may not have heard that the file is whole."""
    gateway = world.gateway()
    file_id = await begun(gateway, 3)
    done = await gateway.append(ANA, file_id, 0, aiter(Body(b"abc").end()))
    for offset in (0, 2, 4):
        with pytest.raises(Conflict, match="at offset 3"):
            await gateway.append(ANA, file_id, offset, aiter(Body(b"").end()))
    body = Body(b"").end()
    again = await gateway.append(ANA, file_id, 3, aiter(body), length=0)
    assert (again.state, again.size, again.fence) == (FileState.READY, 3, done.fence)
    assert body._pieces.qsize() == 2


async def test_a_file_is_taken_from_nobody(world: World) -> None:
    gateway = world.gateway()
    file_id = await begun(gateway, 3)
    done = await gateway.append(ANA, file_id, 0, aiter(Body(b"abc").end()))
    taken = world.steps.begun["take"]
    assert (await gateway.settled(ANA, file_id)).state is FileState.READY
    assert (world.steps.begun["take"], await world.fence(file_id)) == (taken, done.fence)


async def test_hashes_are_kept_of_the_newest_uploads_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DIGESTS_MAX", 2)
    gateway, data = world.gateway(), b"x" * PART + b"y" * PART
    uploads = [await begun(gateway, len(data)) for _ in range(3)]
    for at in (0, PART // 2):
        for file_id in uploads:
            body = aiter(Body(data[at : at + PART // 2]).end())
            await gateway.append(ANA, file_id, at, body)
            assert len(gateway._digests) <= 2
    assert [*gateway._digests] == uploads[1:]
    for file_id in reversed(uploads):
        await gateway.append(ANA, file_id, PART, aiter(Body(data[PART:]).end()))
        assert (await world.file(file_id)).facts.sha256 == hashlib.sha256(data).hexdigest()


async def test_nothing_is_kept_of_what_has_ended(world: World) -> None:
    """A gateway lives for months."""
    gateway = world.gateway()
    broken = await begun(gateway, 6)
    with pytest.raises(BodyBroken):
        await gateway.append(ANA, broken, 0, aiter(Body(b"abc").end(BodyBroken())))
    await gateway.append(ANA, broken, 3, aiter(Body(b"def").end()))
    with suppress(Unavailable):
        await gateway.settled(ANA, await cut_off(world, gateway))
    assert (await world.file(broken)).facts.sha256 == sha256(b"abcdef")
    assert (gateway._requests, gateway._finishings, [*gateway._digests]) == ({}, {}, [])
