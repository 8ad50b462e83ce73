"""Uploads straight to the store: which parts become the file, and what is refused."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from chat4all.domain.errors import (
    ChecksumMismatch,
    Conflict,
    InvalidInput,
    NotFound,
    TooLarge,
    Unavailable,
)
from chat4all.domain.files import FileId, FileLimits, FileState, NewUpload, Quota
from chat4all.domain.ids import Username
from chat4all.gateway.files.new_uploads import new_upload
from chat4all.usecases.direct_uploads import DirectUpload, DirectUploads
from chat4all.usecases.finishing import Finishing
from chat4all.usecases.picturing import Picturing
from chat4all.usecases.uploading import Uploading
from tests.attached import FakePictures, KeptFiles
from tests.uploads import Body, MemoryBlobs, MemoryUploads, SignedParts

pytestmark = pytest.mark.anyio

PART = 10
ANA, BRUNO = Username("ana"), Username("bruno")
DATA = b"0123456789ABCDEFGHIJtail"


@dataclass
class Gateway:
    """One gateway's use cases."""

    uploading: Uploading
    direct: DirectUploads


@dataclass
class World:
    """What gateways share."""

    uploads: MemoryUploads = field(default_factory=MemoryUploads)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)

    def __post_init__(self) -> None:
        self.signed = SignedParts(self.blobs)
        self.files = KeptFiles()
        self.files.files = self.uploads.files

    def gateway(self, limits: FileLimits | None = None) -> Gateway:
        finishing = Finishing(self.uploads, self.blobs, Picturing(self.blobs, FakePictures()))
        uploading = Uploading(self.uploads, self.blobs, finishing, limits or FileLimits(), Quota())
        direct = DirectUploads(uploading, self.uploads, self.files, self.blobs, self.signed)
        return Gateway(uploading, direct)

    async def put(self, begun: DirectUpload, data: bytes = DATA) -> Mapping[int, str]:
        """Send each part to its URL, and return the ETags."""
        pieces = [data[at : at + PART] for at in range(0, len(data), PART)]
        return {
            part.number: (await self.signed.put(part.url, piece)).etag
            for part, piece in zip(begun.parts, pieces, strict=True)
        }

    def content(self, file_id: FileId) -> bytes:
        return self.blobs.objects[self.uploads.uploads[file_id].key]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("chat4all.usecases.direct_uploads.PART_BYTES", PART)
    return World()


def new(size: int = len(DATA)) -> NewUpload:
    return new_upload(ANA, size, "tail.txt", "text/plain")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_parts_that_are_named_become_a_file(world: World) -> None:
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
    assert world.content(file_id) == DATA
    for gateway in (here, there):  # the answer may have been lost
        assert await gateway.direct.complete(ANA, file_id, etags) == file


async def test_etags_without_their_quotes_are_the_same(world: World) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    quoted = {one: f'"{etag}"' for one, etag in (await world.put(begun)).items()}
    await gateway.direct.complete(ANA, begun.upload.file_id, quoted)
    assert world.content(begun.upload.file_id) == DATA


async def test_a_part_that_was_replaced_is_refused_and_sent_again(world: World) -> None:
    """Fails when another's bytes become part of what a client has named."""
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    file_id, etags = begun.upload.file_id, await world.put(begun)
    await world.signed.put(begun.parts[1].url, b"of another")
    with pytest.raises(Conflict, match=r"these ETags: 2; send them again"):
        await gateway.direct.complete(ANA, file_id, etags)
    assert world.blobs.objects == {}
    await world.signed.put(begun.parts[1].url, DATA[PART : 2 * PART])
    await gateway.direct.complete(ANA, file_id, etags)
    assert world.content(file_id) == DATA


async def test_parts_that_are_missing_are_named(world: World) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new(PART * 20))
    guessed = dict.fromkeys(range(1, 21), '"guessed"')
    with pytest.raises(Conflict, match="1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 10 others"):
        await gateway.direct.complete(ANA, begun.upload.file_id, guessed)


async def test_a_part_of_another_size_is_none(world: World) -> None:
    """A store that does not check what a URL was signed for."""
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    file_id, etags = begun.upload.file_id, dict(await world.put(begun))
    part = await world.signed.put(begun.parts[2].url, b"tail, and more", is_checked=False)
    with pytest.raises(Conflict, match="these ETags: 3;"):
        await gateway.direct.complete(ANA, file_id, etags | {3: part.etag})
    assert [part.etag for part in (await gateway.direct.find(ANA, file_id)).parts][2] is None


@pytest.mark.parametrize("numbers", [(1, 2), (1, 2, 3, 4), (2, 3, 4), ()])
async def test_all_parts_are_named_and_no_others(world: World, numbers: Sequence[int]) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    with pytest.raises(InvalidInput):
        await gateway.direct.complete(ANA, begun.upload.file_id, dict.fromkeys(numbers, "x"))


async def test_an_upload_goes_on_after_a_break(world: World) -> None:
    begun = await world.gateway().direct.begin(new())
    sent = await world.signed.put(begun.parts[0].url, DATA[:PART])
    found = await world.gateway().direct.find(ANA, begun.upload.file_id)
    assert [part.etag for part in found.parts] == [sent.etag, None, None]
    assert [part.size for part in found.parts] == [part.size for part in begun.parts]
    etags = await world.put(found)
    await world.gateway().direct.complete(ANA, begun.upload.file_id, etags)
    assert world.content(begun.upload.file_id) == DATA


async def test_a_complete_that_was_cut_off_is_done_again(world: World) -> None:
    """Fails when what a killed gateway has joined already cannot become a file any more."""
    begun = await world.gateway().direct.begin(new())
    file_id, etags = begun.upload.file_id, await world.put(begun)

    async def broken() -> None:
        raise Unavailable("the metadata service does not answer")

    for point in ("before_advance", "before_finish"):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(world.uploads, point, broken)
            with pytest.raises(Unavailable):
                await world.gateway().direct.complete(ANA, file_id, etags)
        assert world.content(file_id) == DATA
        with pytest.raises(Conflict, match="joined already"):
            await world.gateway().direct.find(ANA, file_id)
    file = await world.gateway().direct.complete(ANA, file_id, etags)
    assert file.facts.sha256 == sha256(DATA)
    with pytest.raises(Conflict, match="is complete"):
        await world.gateway().direct.find(ANA, file_id)


async def test_another_content_than_was_named_is_no_file(world: World) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    etags = await world.put(begun)
    with pytest.raises(ChecksumMismatch):
        await gateway.direct.complete(ANA, begun.upload.file_id, etags, sha256(b"another"))
    with pytest.raises(NotFound):
        await gateway.direct.complete(ANA, begun.upload.file_id, etags)


async def test_a_file_is_not_deleted_for_a_wrong_guess_of_its_content(world: World) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    etags = await world.put(begun)
    file = await gateway.direct.complete(ANA, begun.upload.file_id, etags)
    with pytest.raises(ChecksumMismatch):
        await gateway.direct.complete(ANA, file.file_id, etags, sha256(b"another"))
    assert await gateway.direct.complete(ANA, file.file_id, etags, file.facts.sha256) == file


async def test_an_empty_file_has_no_parts(world: World) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new(0))
    assert begun.parts == []
    file = await gateway.direct.complete(ANA, begun.upload.file_id, {})
    assert (file.size, world.content(file.file_id)) == (0, b"")


async def test_the_two_ways_to_upload_do_not_mix(world: World) -> None:
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
    assert world.uploads.held == set()


async def test_only_its_owner_sees_an_upload(world: World) -> None:
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    etags = await world.put(begun)
    with pytest.raises(NotFound):
        await gateway.direct.find(BRUNO, begun.upload.file_id)
    with pytest.raises(NotFound):
        await gateway.direct.complete(BRUNO, begun.upload.file_id, etags)


async def test_a_file_that_is_too_large_is_not_begun(world: World) -> None:
    with pytest.raises(TooLarge):
        await world.gateway(FileLimits(size=len(DATA) - 1)).direct.begin(new())
    assert world.blobs.parts == {}


async def test_asking_for_urls_is_a_sign_of_life(world: World) -> None:
    """Fails when an upload expires while its parts are sent: no gateway sees them."""
    gateway = world.gateway()
    begun = await gateway.direct.begin(new())
    before = len(world.uploads.advanced)
    assert before > 0
    await gateway.direct.find(ANA, begun.upload.file_id)
    assert len(world.uploads.advanced) > before
    assert world.uploads.held == set()
