"""The bucket that `chat4all migrate` makes, on a real S3 server."""

import asyncio
import uuid

import pytest

from chat4all.adapters.s3 import S3Blobs
from chat4all.domain.errors import Unavailable
from engines import S3Server
from tests.cluster.s3 import a_bucket, blobs_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(120)]

KEY = "files/0190163d-8694-739b-aea5-966c26f8ad91"


async def stored(blobs: S3Blobs) -> bytes:
    return b"".join([piece async for piece in blobs.read(KEY)])


async def test_a_bucket_is_made_once_also_by_several_at_once(s3: S3Server) -> None:
    async with blobs_of(s3, f"made-{uuid.uuid4()}") as blobs:
        with pytest.raises(Unavailable, match="has no bucket"):
            await blobs.ping()
        await asyncio.gather(*(blobs.make_bucket() for _ in range(8)))
        await blobs.ping()
        await blobs.put(KEY, [b"content"], "text/plain")
        await blobs.make_bucket()
        assert await stored(blobs) == b"content"


async def test_one_that_is_there_stays_as_it_is(s3: S3Server) -> None:
    async with a_bucket(s3) as blobs:
        await blobs.put(KEY, [b"content"], "text/plain")
        await blobs.make_bucket()
        assert await stored(blobs) == b"content"


async def test_who_may_not_is_told_what_to_change(s3: S3Server) -> None:
    async with blobs_of(s3, f"made-{uuid.uuid4()}", secret="wrong") as blobs:
        with pytest.raises(Unavailable, match="refuses these credentials"):
            await blobs.make_bucket()
