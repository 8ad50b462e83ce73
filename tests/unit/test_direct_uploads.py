"""Uploads straight to the store: which parts become the file, and what is refused."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from chat4all.domain.errors import (
    Busy,
    ChecksumMismatch,
    Conflict,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    TooLarge,
    Unavailable,
)
from chat4all.domain.files import (
    URL_SECONDS,
    FileId,
    FileLimits,
    FileState,
    NewUpload,
    StoredPart,
)
from chat4all.domain.ids import Username
from chat4all.domain.own_files import FileOrder
from chat4all.gateway.files.new_uploads import new_upload
from chat4all.usecases.direct_uploads import DirectUpload, DirectUploads
from chat4all.usecases.uploading import Uploading
from tests.uploads import Body, SignedParts, World, until, world_in

pytestmark = pytest.mark.anyio

PART = 10
ANA, BRUNO = Username("ana"), Username("bruno")
DATA = b"0123456789ABCDEFGHIJtail"


@dataclass
class Gateway:
    """One gateway's use cases."""

    uploading: Uploading
    direct: DirectUploads


class Direct:
    """What gateways share, and what clients send to the store."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.signed = SignedParts(world.blobs)

    def gateway(self, limits: FileLimits | None = None) -> Gateway:
        uploading, world = self.world.gateway(limits), self.world
        return Gateway(
            uploading,
            DirectUploads(uploading, world.uploads, world.files, world.blobs, self.signed),
        )

    async def put(self, begun: DirectUpload, data: bytes = DATA) -> Mapping[int, str]:
        """Send each part to its URL, and return the ETags."""
        pieces = [data[at : at + PART] for at in range(0, len(data), PART)]
        return {
            part.number: (await self.signed.put(part.url, piece)).etag
            for part, piece in zip(begun.parts, pieces, strict=True)
        }

    async def content(self, begun: DirectUpload) -> bytes | None:
        """Return what the store has under an upload's key."""
        try:
            return b"".join([piece async for piece in self.world.blobs.read(begun.upload.key)])
        except NotFound:
            return None

    async def is_held(self, file_id: FileId) -> bool:
        try:
            await self.world.uploads.take(file_id, ANA, force=False)
        except Busy:
            return True
        return False


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Direct]:
    monkeypatch.setattr("chat4all.usecases.direct_uploads.PART_BYTES", PART)
    async with world_in(tmp_path) as found:
        yield Direct(found)


def new(size: int = len(DATA)) -> NewUpload:
    return new_upload(ANA, size, "tail.txt", "text/plain")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_key_cannot_be_told_from_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of a conversation know the ids of its files."""
    monkeypatch.setattr("uuid_utils.uuid7", lambda: "019ad000-0000-7000-8000-0000000000e5")
    one, other = new(), new()
    assert one.file_id == other.file_id
    assert one.key.startswith("e5/")
    assert one.key != other.key


async def test_parts_that_are_named_become_a_file(world: Direct) -> None:
    here, there = world.gateway(), world.gateway()
    begun = await here.direct.begin(new())
    assert [(part.number, part.size, part.etag) for part in begun.parts] == [
        (1, PART, None),
        (2, PART, None),
        (3, 4, None),
    ]
    etags = await world.put(begun)
    file_id = begun.upload.file_id
    file = await there.direct.complete(ANA, file_id, etags, sha256(DATA))
    assert (file.size, file.name, file.state) == (len(DATA), "tail.txt", FileState.READY)
    assert file.facts.sha256 == sha256(DATA)
    assert await world.content(begun) == DATA
    for gateway in (here, there):  # the answer may have been lost
        assert await gateway.direct.complete(ANA, file_id, etags) == file


async def test_etags_without_their_quotes_are_the_same(world: Direct) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    quoted = {one: f'"{etag}"' for one, etag in (await world.put(begun)).items()}
    await gateway.direct.complete(ANA, begun.upload.file_id, quoted)
    assert await world.content(begun) == DATA


async def test_a_part_that_was_replaced_is_refused_and_sent_again(world: Direct) -> None:
    """Fails when another's bytes become part of what a client has named."""
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    file_id, etags = begun.upload.file_id, await world.put(begun)
    await world.signed.put(begun.parts[1].url, b"of another")
    with pytest.raises(Conflict, match=r"these ETags: 2; send them again"):
        await gateway.direct.complete(ANA, file_id, etags)
    assert await world.content(begun) is None
    again = await world.signed.put(begun.parts[1].url, DATA[PART : 2 * PART])
    await gateway.direct.complete(ANA, file_id, {**etags, 2: again.etag})
    assert await world.content(begun) == DATA


async def test_parts_that_are_missing_are_named(world: Direct) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new(PART * 20))
    guessed = dict.fromkeys(range(1, 21), '"guessed"')
    with pytest.raises(Conflict, match="1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 10 others"):
        await gateway.direct.complete(ANA, begun.upload.file_id, guessed)


@pytest.mark.parametrize("nothing", ["", '""'])
async def test_no_etag_names_no_part(world: Direct, nothing: str) -> None:
    """Fails when a part that was never sent passes for one that has no ETag."""
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    file_id = begun.upload.file_id
    with pytest.raises(Conflict, match="these ETags: 1, 2, 3;"):
        await gateway.direct.complete(ANA, file_id, dict.fromkeys((1, 2, 3), nothing))
    etags = await world.put(begun)
    with pytest.raises(Conflict, match="these ETags: 2;"):
        await gateway.direct.complete(ANA, file_id, {**etags, 2: nothing})


async def test_a_part_of_another_size_is_none(world: Direct) -> None:
    """A store that does not check what a URL was signed for."""
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    file_id, etags = begun.upload.file_id, dict(await world.put(begun))
    part = await world.signed.put(begun.parts[2].url, b"tail, and more", is_checked=False)
    with pytest.raises(Conflict, match="these ETags: 3;"):
        await gateway.direct.complete(ANA, file_id, etags | {3: part.etag})
    assert [part.etag for part in (await gateway.direct.find(ANA, file_id)).parts][2] is None


@pytest.mark.parametrize("numbers", [(1, 2), (1, 2, 3, 4), (2, 3, 4), ()])
async def test_all_parts_are_named_and_no_others(world: Direct, numbers: Sequence[int]) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    with pytest.raises(InvalidInput):
        await gateway.direct.complete(ANA, begun.upload.file_id, dict.fromkeys(numbers, "x"))


async def test_an_upload_goes_on_after_a_break(world: Direct) -> None:
    begun = await world.gateway().direct.begin(new())
    sent = await world.signed.put(begun.parts[0].url, DATA[:PART])
    found = await world.gateway().direct.find(ANA, begun.upload.file_id)
    assert [part.etag for part in found.parts] == [sent.etag, None, None]
    assert [part.size for part in found.parts] == [part.size for part in begun.parts]
    etags = await world.put(found)
    await world.gateway().direct.complete(ANA, begun.upload.file_id, etags)
    assert await world.content(begun) == DATA


async def test_a_complete_that_was_cut_off_is_done_again(world: Direct) -> None:
    """Fails when what a killed gateway has joined already cannot become a file any more."""
    begun = await world.gateway().direct.begin(new())
    file_id, etags = begun.upload.file_id, await world.put(begun)

    async def broken() -> None:
        raise Unavailable("the metadata service does not answer")

    for step in ("advance", "finish"):
        world.world.steps.before = {step: broken}
        with pytest.raises(Unavailable):
            await world.gateway().direct.complete(ANA, file_id, etags)
        world.world.steps.before = {}
        assert await world.content(begun) == DATA
        with pytest.raises(Conflict, match="joined already"):
            await world.gateway().direct.find(ANA, file_id)
    file = await world.gateway().direct.complete(ANA, file_id, etags)
    assert file.facts.sha256 == sha256(DATA)
    with pytest.raises(Conflict, match="is complete"):
        await world.gateway().direct.find(ANA, file_id)


async def test_another_content_than_was_named_is_no_file(world: Direct) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    etags = await world.put(begun)
    with pytest.raises(ChecksumMismatch):
        await gateway.direct.complete(ANA, begun.upload.file_id, etags, sha256(b"another"))
    with pytest.raises(NotFound):
        await gateway.direct.complete(ANA, begun.upload.file_id, etags)


async def test_a_file_is_not_deleted_for_a_wrong_guess_of_its_content(world: Direct) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    etags = await world.put(begun)
    file = await gateway.direct.complete(ANA, begun.upload.file_id, etags)
    with pytest.raises(ChecksumMismatch):
        await gateway.direct.complete(ANA, file.file_id, etags, sha256(b"another"))
    assert await gateway.direct.complete(ANA, file.file_id, etags, file.facts.sha256) == file


async def test_an_empty_file_has_no_parts(world: Direct) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new(0))
    assert begun.parts == []
    file = await gateway.direct.complete(ANA, begun.upload.file_id, {})
    assert (file.size, await world.content(begun)) == (0, b"")


async def test_the_two_ways_to_upload_do_not_mix(world: Direct) -> None:
    """Fails when bytes of a PATCH and parts in the store become one file."""
    gateway = world.gateway()
    direct = (await gateway.direct.begin(new())).upload
    with pytest.raises(Conflict, match="go to the store"):
        await gateway.uploading.append(ANA, direct.file_id, 0, aiter(Body(b"abc").end()))
    with pytest.raises(Conflict, match="go to the store"):
        await gateway.uploading.settled(ANA, direct.file_id)
    through = await gateway.uploading.begin(new())
    with pytest.raises(Conflict, match="send it with PATCH"):
        await gateway.direct.find(ANA, through.file_id)
    with pytest.raises(Conflict, match="send it with PATCH"):
        await gateway.direct.complete(ANA, through.file_id, {1: "x", 2: "x", 3: "x"})
    for upload in (direct, through):
        assert not await world.is_held(upload.file_id)


async def test_only_its_owner_sees_an_upload(world: Direct) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    etags = await world.put(begun)
    with pytest.raises(NotFound):
        await gateway.direct.find(BRUNO, begun.upload.file_id)
    with pytest.raises(NotFound):
        await gateway.direct.complete(BRUNO, begun.upload.file_id, etags)


async def test_a_file_that_is_too_large_is_not_begun(world: Direct) -> None:
    with pytest.raises(TooLarge):
        await world.gateway(FileLimits(size=len(DATA) - 1)).direct.begin(new())
    assert not [*world.world.folder.iterdir()]


async def test_asking_for_urls_is_a_sign_of_life(world: Direct) -> None:
    """Fails when an upload expires while its parts are sent: no gateway sees them.

    Beginning it is none: its answer may be lost.
    """
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    advanced = world.world.uploads.advanced
    assert not advanced
    await gateway.direct.find(ANA, begun.upload.file_id)
    assert advanced
    assert not await world.is_held(begun.upload.file_id)


async def test_urls_are_signed_for_a_while_and_say_until_when(
    world: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = AsyncMock(side_effect=world.signed.part_urls)
    monkeypatch.setattr(world.signed, "part_urls", sign)
    before = int(time.time())
    begun = await world.gateway().direct.begin(new())
    upload = begun.upload
    sign.assert_awaited_once_with(
        upload.key, upload.store_upload, {1: PART, 2: PART, 3: 4}, URL_SECONDS
    )
    assert before <= begun.urls_expire_at - URL_SECONDS <= time.time()
    assert begun.part_size == PART
    assert upload.is_direct
    assert len({part.url for part in begun.parts}) == 3


async def test_of_those_who_complete_at_once_one_joins(
    world: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others would take the upload away from it."""
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    file_id, etags = begun.upload.file_id, await world.put(begun)
    found = await asyncio.gather(
        *(gateway.direct.complete(ANA, file_id, etags) for _ in range(3)),
    )
    assert {file.facts.sha256 for file in found} == {sha256(DATA)}
    assert world.world.uploads.advanced == [len(DATA)]


async def test_an_upload_that_is_being_completed_is_shown_all_the_same(world: Direct) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    file_id = begun.upload.file_id
    assert not await world.is_held(file_id)  # it has taken it
    assert await world.is_held(file_id)
    found = await gateway.direct.find(ANA, file_id)
    assert [part.size for part in found.parts] == [PART, PART, 4]
    assert not world.world.uploads.advanced


async def test_what_was_completed_meanwhile_is_taken_from_nobody(world: Direct) -> None:
    """By another gateway, after this one has looked: its lease is not this one's to end."""
    here, there = world.gateway(), world.gateway()
    begun = await here.direct.begin(new())
    file_id, etags = begun.upload.file_id, await world.put(begun)

    async def completed() -> None:
        world.world.steps.before = {}
        await there.direct.complete(ANA, file_id, etags)

    world.world.steps.before = {"take": completed}
    file = await here.direct.complete(ANA, file_id, etags)
    assert file.facts.sha256 == sha256(DATA)
    assert world.world.uploads.advanced == [len(DATA)]


async def test_without_a_store_that_clients_reach_there_are_none(world: Direct) -> None:
    gateway, of = world.gateway(), world.world
    assert gateway.direct.are_possible
    none = DirectUploads(gateway.uploading, of.uploads, of.files, of.blobs, None)
    assert not none.are_possible


async def test_all_parts_of_a_large_upload_are_named_in_an_error_or_counted(world: Direct) -> None:
    gateway = world.gateway()
    for count, says in ((10, "1, 2, 3, 4, 5, 6, 7, 8, 9, 10; send"), (11, "10 and 1 others; send")):
        begun = await gateway.direct.begin(new(PART * count))
        guessed = dict.fromkeys(range(1, count + 1), "guessed")
        with pytest.raises(Conflict, match=says):
            await gateway.direct.complete(ANA, begun.upload.file_id, guessed)


async def test_an_upload_of_whole_parts_has_no_empty_one(world: Direct) -> None:
    begun = await world.gateway().direct.begin(new(2 * PART))
    assert [(part.number, part.size) for part in begun.parts] == [(1, PART), (2, PART)]
    with pytest.raises(InvalidInput) as refused:
        await world.gateway().direct.complete(ANA, begun.upload.file_id, {1: "x"})
    (error,) = refused.value.errors
    assert (error.pointer, error.detail) == (
        "/parts",
        "name each part of the upload once: there are 2",
    )


async def test_a_join_that_takes_long_holds_up_no_other_upload(world: Direct) -> None:
    gateway, begins, goes_on = world.gateway(), asyncio.Event(), asyncio.Event()
    first, second = [await gateway.direct.begin(new()) for _ in range(2)]
    etags = [await world.put(begun) for begun in (first, second)]

    async def stand_still() -> None:
        world.world.steps.before = {}
        begins.set()
        await goes_on.wait()

    world.world.steps.before = {"advance": stand_still}
    joining = asyncio.create_task(gateway.direct.complete(ANA, first.upload.file_id, etags[0]))
    await begins.wait()
    try:
        async with asyncio.timeout(30):
            file = await gateway.direct.complete(ANA, second.upload.file_id, etags[1])
        assert (file.state, joining.done()) == (FileState.READY, False)
    finally:
        goes_on.set()
    assert (await joining).state is FileState.READY


async def test_all_who_complete_at_once_are_told_in_time(
    world: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when each waits its whole time after the one before it."""
    monkeypatch.setattr("chat4all.usecases.direct_uploads.FINISH_SECONDS", 0.1)
    gateway, goes_on = world.gateway(), asyncio.Event()
    begun = await gateway.direct.begin(new())
    file_id, etags = begun.upload.file_id, await world.put(begun)

    async def stand_still() -> None:
        await goes_on.wait()

    world.world.steps.before = {"advance": stand_still}
    first = asyncio.create_task(gateway.direct.complete(ANA, file_id, etags))
    await world.world.steps.until_begun("advance")
    async with asyncio.timeout(30):
        told = await asyncio.gather(
            *(gateway.direct.complete(ANA, file_id, etags) for _ in range(5)),
            return_exceptions=True,
        )
    assert [type(one) for one in told] == [Busy] * 5
    assert not first.done()
    goes_on.set()
    assert (await first).state is FileState.READY


async def test_what_one_who_has_waited_begins_ends_in_its_time(
    world: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when the store, which hangs, is asked for its whole time by each in turn."""
    monkeypatch.setattr("chat4all.usecases.direct_uploads.FINISH_SECONDS", 0.1)
    gateway, fails, asked = world.gateway(), asyncio.Event(), 0
    begun = await gateway.direct.begin(new())
    file_id, etags = begun.upload.file_id, await world.put(begun)

    async def hangs(*_: str) -> Sequence[StoredPart]:
        nonlocal asked
        asked += 1
        if asked == 1:
            await fails.wait()
            raise Unavailable("the store does not answer")
        return await asyncio.Event().wait()  # type: ignore[return-value]

    monkeypatch.setattr(world.signed, "parts", hangs)
    first = asyncio.create_task(gateway.direct.complete(ANA, file_id, etags))
    await until(lambda: asked == 1)
    second = asyncio.create_task(gateway.direct.complete(ANA, file_id, etags))
    await world.world.steps.until_done("find", 3)  # it waits
    fails.set()
    with pytest.raises(Unavailable):
        await first
    with pytest.raises(Busy):
        await asyncio.wait_for(second, 30)


@pytest.mark.parametrize("error", [Conflict("a message has it"), NotFound("it is gone")])
async def test_another_content_than_was_named_is_told_whatever_became_of_the_file(
    world: Direct, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    etags = await world.put(begun)
    end = AsyncMock(side_effect=error)
    monkeypatch.setattr(world.world.uploads, "end", end)
    with pytest.raises(ChecksumMismatch, match="begin the upload again"):
        await gateway.direct.complete(ANA, begun.upload.file_id, etags, sha256(b"another"))
    end.assert_awaited_once_with(begun.upload.file_id, ANA)


async def test_an_upload_without_urls_is_none(
    world: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client did not learn its id."""
    monkeypatch.setattr(world.signed, "part_urls", AsyncMock(side_effect=Unavailable("away")))
    with pytest.raises(Unavailable) as refused:
        await world.gateway().direct.begin(new())
    assert not isinstance(refused.value, OutcomeUnknown)
    assert not await world.world.files.own(ANA, FileOrder.NEWEST, 10)
