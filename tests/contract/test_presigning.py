"""The contract of `ports.presigning`, on the S3 server: what a URL takes, and for how long."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import pytest

from chat4all.adapters.s3 import S3Blobs
from chat4all.domain.errors import Conflict
from chat4all.domain.files import StoredPart
from engines import S3Server
from tests.cluster.s3 import a_bucket, blobs_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines]

MINUTE = 60
LARGE = 5 * 1024 * 1024 + 3
TYPE = "application/octet-stream"


class Begun(NamedTuple):
    """An upload, and the store that it was begun in."""

    blobs: S3Blobs
    key: str
    upload: str

    async def urls(self, *sizes: int, seconds: int = MINUTE) -> list[str]:
        asked = dict(enumerate(sizes, start=1))
        urls = await self.blobs.part_urls(self.key, self.upload, asked, seconds)
        assert [*urls] == [*asked]
        return [*urls.values()]

    async def parts(self) -> list[StoredPart]:
        return [*await self.blobs.parts(self.key, self.upload)]

    async def content(self) -> bytes:
        return b"".join([data async for data in self.blobs.read(self.key)])


@pytest.fixture
async def begun(s3: S3Server) -> AsyncIterator[Begun]:
    async with a_bucket(s3) as blobs:
        key = f"5b/{uuid.uuid4()}"
        yield Begun(blobs, key, await blobs.begin(key, TYPE))


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without the store's credentials."""
    async with httpx.AsyncClient(timeout=30) as found:
        yield found


async def test_parts_that_are_put_by_url_become_the_object(
    begun: Begun, client: httpx.AsyncClient
) -> None:
    data = [b"a" * LARGE, b"tail"]
    urls = await begun.urls(*map(len, data))
    assert await begun.parts() == []
    answers = [await client.put(url, content=one) for url, one in zip(urls, data, strict=True)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    parts = await begun.parts()
    assert parts == [
        StoredPart(number, len(one), answer.headers["etag"])
        for number, (one, answer) in enumerate(zip(data, answers, strict=True), start=1)
    ]
    await begun.blobs.finish(begun.key, begun.upload, parts)
    assert await begun.content() == b"".join(data)


async def test_a_url_takes_its_size_and_no_other(begun: Begun, client: httpx.AsyncClient) -> None:
    [url] = await begun.urls(5)
    for data in (b"1234", b"123456", b""):
        assert (await client.put(url, content=data)).status_code == 403
    assert await begun.parts() == []
    assert (await client.put(url, content=b"12345")).status_code == 200


async def test_a_url_is_for_one_part_of_one_object(begun: Begun, client: httpx.AsyncClient) -> None:
    [url] = await begun.urls(5)
    for other in (
        url.replace("partNumber=1", "partNumber=2"),
        url.replace(begun.key, f"5b/{uuid.uuid4()}"),
        url.replace(f"X-Amz-Expires={MINUTE}", f"X-Amz-Expires={10 * MINUTE}"),
        url.partition("?")[0],
    ):
        assert other != url
        assert (await client.put(other, content=b"12345")).status_code == 403
    for method in ("GET", "DELETE"):
        assert (await client.request(method, url)).status_code == 403
    assert await begun.parts() == []


async def test_a_url_copies_no_other_object(begun: Begun, client: httpx.AsyncClient) -> None:
    """Fails when who may send a part can read what others have uploaded."""
    other = f"5b/{uuid.uuid4()}"
    await begun.blobs.put(other, [b"somebody else's"], TYPE)
    [url] = await begun.urls(5)
    bucket = httpx.URL(url).path.split("/")[1]
    source = {"x-amz-copy-source": f"/{bucket}/{other}"}
    await client.put(url, content=b"12345", headers=source)
    # Refused, or taken for a part as any other.
    assert [part.size for part in await begun.parts()] in ([], [5])


async def test_a_url_expires(begun: Begun, client: httpx.AsyncClient) -> None:
    [url] = await begun.urls(5, seconds=1)
    async with asyncio.timeout(30):
        while (await client.put(url, content=b"12345")).status_code == 200:
            await asyncio.sleep(0.2)
    assert (await client.put(url, content=b"12345")).status_code == 403


async def test_a_part_that_is_put_again_has_another_etag(
    begun: Begun, client: httpx.AsyncClient
) -> None:
    """Fails when what a client has named can be replaced by what somebody else has sent."""
    [url] = await begun.urls(5)
    first = (await client.put(url, content=b"first")).headers["etag"]
    assert (await client.put(url, content=b"other")).status_code == 200
    with pytest.raises(Conflict):
        await begun.blobs.finish(begun.key, begun.upload, [StoredPart(1, 5, first)])
    await begun.blobs.finish(begun.key, begun.upload, await begun.parts())
    assert await begun.content() == b"other"


async def test_a_whole_object_takes_no_part_any_more(
    begun: Begun, client: httpx.AsyncClient
) -> None:
    [url] = await begun.urls(5)
    assert (await client.put(url, content=b"first")).status_code == 200
    await begun.blobs.finish(begun.key, begun.upload, await begun.parts())
    assert (await client.put(url, content=b"later")).status_code == 404
    with pytest.raises(Conflict):
        await begun.parts()
    assert await begun.content() == b"first"


async def test_what_is_given_up_takes_no_part_any_more(
    begun: Begun, client: httpx.AsyncClient
) -> None:
    [url] = await begun.urls(5)
    await begun.blobs.abort(begun.key, begun.upload)
    assert (await client.put(url, content=b"first")).status_code == 404
    for upload in (begun.upload, ""):
        with pytest.raises(Conflict):
            await begun.blobs.parts(begun.key, upload)


async def test_clients_are_sent_to_the_public_address(s3: S3Server) -> None:
    """Fails when they get the address that only gateways can reach."""
    public = "https://files.example"
    async with blobs_of(s3, "files", public=public) as blobs:
        urls = await blobs.part_urls("5b/key", "an upload", {1: 5}, MINUTE)
    url = httpx.URL(urls[1])
    assert str(url).startswith(f"{public}/files/5b/key?")
    assert url.params["uploadId"] == "an upload"
    assert url.params["X-Amz-SignedHeaders"] == "content-length;host"
    assert s3.secret_key not in str(url)
