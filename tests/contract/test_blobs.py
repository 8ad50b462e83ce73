"""The contract of `ports.blobs`."""

import asyncio
import hashlib
import random
import uuid
from collections.abc import Sequence

import pytest

from chat4all.adapters.s3 import S3Blobs
from chat4all.domain.errors import Conflict, NotFound
from chat4all.domain.files import StoredPart
from chat4all.ports.blobs import Blobs

pytestmark = pytest.mark.anyio

PIECE = 256 * 1024
TYPE = "application/octet-stream"


def new_key() -> str:
    return f"files/{uuid.uuid4()}"


def content(size: int, seed: int = 0) -> bytes:
    return random.Random(f"{size} {seed}").randbytes(size)


def chunked(data: bytes, size: int = 65_536) -> Sequence[bytes]:
    return [data[first : first + size] for first in range(0, len(data), size)]


async def read(blobs: Blobs, key: str, start: int = 0, length: int | None = None) -> bytes:
    pieces = [piece async for piece in blobs.read(key, start, length)]
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


async def is_there(blobs: Blobs, key: str) -> bool:
    try:
        await read(blobs, key)
    except NotFound:
        return False
    return True


@pytest.fixture
def large(blobs: Blobs) -> int:
    """A size that a part may have which is not the last one, and no round one."""
    return 5 * 1024 * 1024 + 11 if isinstance(blobs, S3Blobs) else 600_011


async def test_parts_become_one_object(blobs: Blobs, large: int) -> None:
    key = new_key()
    upload = await blobs.begin(key, TYPE)
    data = [content(large, 0), content(large, 1), content(1_000, 2)]
    # With holes in the numbers, written at the same time.
    parts = await asyncio.gather(
        *(
            blobs.write(key, upload, number, chunked(part))
            for number, part in zip((3, 40, 10_000), data, strict=True)
        )
    )
    assert [(part.number, part.size) for part in parts] == [
        (3, large),
        (40, large),
        (10_000, 1_000),
    ]
    assert not await is_there(blobs, key)  # not before it is whole
    await blobs.finish(key, upload, parts)
    assert await read(blobs, key) == b"".join(data)


@pytest.mark.parametrize("sizes", [[], [0], [1], [300_000]])
async def test_small_ones(blobs: Blobs, sizes: Sequence[int]) -> None:
    key = new_key()
    upload = await blobs.begin(key, TYPE)
    data = [content(size) for size in sizes]
    parts = [
        await blobs.write(key, upload, number, chunked(part))
        for number, part in enumerate(data, start=1)
    ]
    await blobs.finish(key, upload, parts)
    assert await read(blobs, key) == b"".join(data)


async def test_ranges(blobs: Blobs, large: int) -> None:
    key = new_key()
    upload = await blobs.begin(key, TYPE)
    data = [content(large, 0), content(large, 1), content(5, 2)]
    parts = [
        await blobs.write(key, upload, number, chunked(part))
        for number, part in enumerate(data, start=1)
    ]
    await blobs.finish(key, upload, parts)
    whole = b"".join(data)
    end = len(whole)
    for start, length in (
        (0, 1),
        (0, 0),
        (large - 1, 2),  # across two parts
        (large, 1),
        (large - 7, large + 20),
        (2 * large + 4, 1),
        (2 * large + 4, 1_000),
        (end - 1, None),
        (end, None),
        (end, 5),
        (end + 1_000, 5),
        (1, None),
    ):
        stop = None if length is None else start + length
        assert await read(blobs, key, start, length) == whole[start:stop], (start, length)


async def test_the_same_number_again_replaces_the_part(blobs: Blobs) -> None:
    key = new_key()
    upload = await blobs.begin(key, TYPE)
    first = await blobs.write(key, upload, 1, [b"first"])
    second = await blobs.write(key, upload, 1, [b"2nd"])
    assert first.etag != second.etag
    with pytest.raises(Conflict):
        await blobs.finish(key, upload, [first])
    await blobs.finish(key, upload, [second])
    assert await read(blobs, key) == b"2nd"


async def test_a_part_that_nobody_names_changes_nothing(blobs: Blobs, large: int) -> None:
    """What the writer of an older fence sends late has another number."""
    key = new_key()
    upload = await blobs.begin(key, TYPE)
    ours = await blobs.write(key, upload, 2, chunked(content(large, 0)))
    await blobs.write(key, upload, 1, chunked(content(large, 1)))
    await blobs.write(key, upload, 3, chunked(content(large, 2)))
    last = await blobs.write(key, upload, 35, [b"end"])
    await blobs.write(key, upload, 36, [b"another end"])
    await blobs.finish(key, upload, [ours, last])
    assert await read(blobs, key) == content(large, 0) + b"end"


async def test_a_part_is_what_its_etag_says(blobs: Blobs, large: int) -> None:
    key = new_key()
    upload = await blobs.begin(key, TYPE)
    part = await blobs.write(key, upload, 1, chunked(content(large, 0)))
    last = await blobs.write(key, upload, 2, [b"end"])
    for wrong in (
        [part._replace(etag="0" * 32), last],
        [part, last._replace(number=3)],
        [part._replace(number=2), last._replace(number=1)],
        [last, part],
    ):
        with pytest.raises(Conflict):
            await blobs.finish(key, upload, wrong)
        assert not await is_there(blobs, key)
    await blobs.finish(key, upload, [part, last])  # a refusal has spoilt nothing
    assert await read(blobs, key) == content(large, 0) + b"end"


async def test_finishing_again_does_nothing(blobs: Blobs, large: int) -> None:
    key = new_key()
    upload = await blobs.begin(key, TYPE)
    parts = [
        await blobs.write(key, upload, 1, chunked(content(large))),
        await blobs.write(key, upload, 2, [b"end"]),
    ]
    await blobs.finish(key, upload, parts)
    await blobs.finish(key, upload, parts)
    assert await read(blobs, key) == content(large) + b"end"
    with pytest.raises(Conflict):
        await blobs.write(key, upload, 3, [b"more"])
    await blobs.abort(key, upload)
    assert await read(blobs, key) == content(large) + b"end"


async def test_an_upload_that_was_given_up_is_gone(blobs: Blobs) -> None:
    key = new_key()
    upload = await blobs.begin(key, TYPE)
    part = await blobs.write(key, upload, 1, [b"bytes"])
    await blobs.abort(key, upload)
    await blobs.abort(key, upload)
    with pytest.raises(Conflict):
        await blobs.write(key, upload, 1, [b"bytes"])
    with pytest.raises(Conflict):
        await blobs.finish(key, upload, [part])
    assert not await is_there(blobs, key)


async def test_two_uploads_of_one_key_are_not_mixed(blobs: Blobs) -> None:
    key = new_key()
    one, other = await blobs.begin(key, TYPE), await blobs.begin(key, TYPE)
    assert one != other
    part = await blobs.write(key, one, 1, [b"one"])
    await blobs.write(key, other, 1, [b"other"])
    await blobs.abort(key, other)
    await blobs.finish(key, one, [part])
    assert await read(blobs, key) == b"one"


async def test_small_objects_are_put_and_replaced(blobs: Blobs) -> None:
    key = f"tails/{uuid.uuid4()}/7-123"
    for data in (b"", b"first", b"2nd"):
        await blobs.put(key, [data[:2], data[2:]], TYPE)
        assert await read(blobs, key) == data


async def test_deleting(blobs: Blobs, large: int) -> None:
    keys = [new_key() for _ in range(4)]
    upload = await blobs.begin(keys[0], TYPE)
    await blobs.finish(
        keys[0],
        upload,
        [
            await blobs.write(keys[0], upload, 1, chunked(content(large))),
            await blobs.write(keys[0], upload, 2, [b"end"]),
        ],
    )
    await blobs.put(keys[1], [b"small"], TYPE)
    await blobs.put(keys[2], [b"another"], TYPE)
    await blobs.delete([keys[0], keys[1], keys[3]])
    assert [await is_there(blobs, key) for key in keys] == [False, False, True, False]
    await blobs.delete(keys[:2])
    await blobs.delete([])


async def test_what_is_not_there_is_not_found(blobs: Blobs) -> None:
    for start, length in ((0, None), (5, 10)):
        with pytest.raises(NotFound):
            await read(blobs, new_key(), start, length)


async def test_large_parts_come_back_byte_for_byte(blobs: Blobs) -> None:
    key = new_key()
    upload = await blobs.begin(key, TYPE)
    size = 8 * 1024 * 1024
    digest = hashlib.sha256()
    parts = []
    for number in range(1, 5):
        data = content(size, number)
        digest.update(data)
        parts.append(await blobs.write(key, upload, number, chunked(data, 100_003)))
    await blobs.finish(key, upload, parts)
    found = hashlib.sha256()
    async for piece in blobs.read(key):
        found.update(piece)
    assert found.digest() == digest.digest()


NO_KEYS = "", ".", "..", "../x", "a/../b", "a/./b", "/a", "a/", "a//b", "a\0b", "a\\b", "a~b", "é"


async def test_paths_that_lead_elsewhere_are_no_keys(blobs: Blobs) -> None:
    for key in NO_KEYS:
        for asked in (
            blobs.begin(key, TYPE),
            blobs.put(key, [b"x"], TYPE),
            read(blobs, key),
            blobs.delete([key]),
        ):
            with pytest.raises(ValueError, match="not a key"):
                await asked


async def test_an_upload_of_another_name_is_none(blobs: Blobs) -> None:
    key = new_key()
    for upload in ("", "../../x", "0" * 32):
        with pytest.raises(Conflict):
            await blobs.write(key, upload, 1, [b"x"])
        with pytest.raises(Conflict):
            await blobs.finish(key, upload, [StoredPart(1, 1, "x")])
        await blobs.abort(key, upload)


async def test_ping(blobs: Blobs) -> None:
    await blobs.ping()
