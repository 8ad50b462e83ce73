"""A bucket of a test's own on a real server, and the adapter on it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chat4all.adapters.s3 import S3Blobs
from chat4all.domain.buckets import Bucket
from engines import S3Server


@asynccontextmanager
async def a_bucket(server: S3Server) -> AsyncIterator[S3Blobs]:
    async with blobs_of(server, server.create_bucket(f"files-{uuid.uuid4()}")) as blobs:
        yield blobs


@asynccontextmanager
async def blobs_of(
    server: S3Server, bucket: str, *, secret: str = "", public: str | None = None
) -> AsyncIterator[S3Blobs]:
    secret = secret or server.secret_key
    blobs = S3Blobs(
        Bucket(server.address, bucket, server.region, server.access_key, secret, public)
    )
    await blobs.open()
    try:
        yield blobs
    finally:
        await blobs.close()
