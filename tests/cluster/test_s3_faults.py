"""An S3 server that is killed, hangs, or is another one than was set."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from chat4all.adapters.s3 import S3Blobs, blobs
from chat4all.domain.errors import Conflict, Unavailable
from engines import S3Server
from tests.cluster.s3 import a_bucket, blobs_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(180),
]

KEY = "files/0190163d-8694-739b-aea5-966c26f8ad91"
TYPE = "text/plain"
PART = 6 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server of these tests' own: they kill it."""
    with S3Server(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture
async def bucket(server: S3Server) -> AsyncIterator[S3Blobs]:
    async with a_bucket(server) as found:
        yield found


def part(number: int) -> list[bytes]:
    return [bytes([number]) * 65_536] * (PART // 65_536)


async def test_acknowledged_parts_survive_a_kill(server: S3Server, bucket: S3Blobs) -> None:
    upload = await bucket.begin(KEY, TYPE)
    parts = [await bucket.write(KEY, upload, 1, part(1))]
    unknown = asyncio.create_task(bucket.write(KEY, upload, 2, part(9)))
    server.kill()
    with pytest.raises(Unavailable, match=r"does not answer .* set CHAT4ALL_S3_ENDPOINT"):
        await unknown
    server.restart()
    parts.append(await bucket.write(KEY, upload, 2, part(2)))
    server.kill()
    server.restart()
    await bucket.finish(KEY, upload, parts)
    found = b"".join([piece async for piece in bucket.read(KEY)])
    assert found == bytes([1]) * PART + bytes([2]) * PART


async def test_reading_goes_on_where_a_connection_broke(server: S3Server, bucket: S3Blobs) -> None:
    upload = await bucket.begin(KEY, TYPE)
    parts = [await bucket.write(KEY, upload, number, part(number)) for number in (1, 2, 3, 4)]
    await bucket.finish(KEY, upload, parts)
    found, killed = [], 0
    async for piece in bucket.read(KEY, 1_000):
        found.append(piece)
        if sum(map(len, found)) > (killed + 1) * PART and killed < 2:
            killed += 1
            server.kill()
            server.start()
    assert killed == 2
    assert b"".join(found) == b"".join(b"".join(part(number)) for number in (1, 2, 3, 4))[1_000:]


async def test_an_object_that_was_replaced_is_not_read_on(
    server: S3Server, bucket: S3Blobs
) -> None:
    """Half of one and half of another would be neither."""
    size = 16 * 1024 * 1024
    await bucket.put(KEY, [b"1" * size], TYPE)
    reading = bucket.read(KEY)
    first = await anext(reading)
    await bucket.put(KEY, [b"2" * size], TYPE)
    server.kill()
    server.restart()
    found = [first]
    with pytest.raises(Unavailable):
        found.extend([piece async for piece in reading])
    assert {*b"".join(found)} == {*b"1"}


async def test_a_store_that_hangs_is_unavailable_in_time(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "TRY_SECONDS", 0.5)
    async with a_bucket(server) as bucket:
        await bucket.put(KEY, [b"x"], TYPE)
        server.pause()
        try:
            async with asyncio.timeout(30):
                for asked in (bucket.ping(), bucket.put(KEY, part(1), TYPE)):
                    with pytest.raises(Unavailable, match="no answer in time"):
                        await asked
        finally:
            server.resume()
        await bucket.ping()


async def test_a_wrong_secret_is_not_told(
    server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    name = server.create_bucket("files-with-a-secret")
    async with blobs_of(server, name, secret="a wrong secret") as bucket:
        with pytest.raises(Unavailable, match="refuses these credentials") as ping:
            await bucket.ping()
        with pytest.raises(Unavailable, match="refuses these credentials") as put:
            await bucket.put(KEY, [b"x"], TYPE)
    for said in (str(ping.value), str(put.value), str(ping.value.public), caplog.text):
        assert "a wrong secret" not in said


async def test_a_bucket_that_is_not_there(server: S3Server) -> None:
    async with blobs_of(server, "not-there") as bucket:
        for asked in (bucket.ping(), bucket.put(KEY, [b"x"], TYPE), bucket.begin(KEY, TYPE)):
            with pytest.raises(Unavailable, match="has no bucket not-there: make it"):
                await asked


async def test_a_part_below_the_least_size_is_a_conflict(bucket: S3Blobs) -> None:
    upload = await bucket.begin(KEY, TYPE)
    parts = [await bucket.write(KEY, upload, number, [b"small"]) for number in (1, 2)]
    with pytest.raises(Conflict):
        await bucket.finish(KEY, upload, parts)
