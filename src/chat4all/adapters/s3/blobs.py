"""The port `ports.blobs.Blobs` on S3."""

import asyncio
import base64
import hashlib
import io
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from chat4all.adapters.file_store import PIECE, PUBLIC, checked_key
from chat4all.adapters.s3.failing import (
    BROKEN,
    NoSuchUpload,
    OutsideObject,
    explained,
    is_temporary,
)
from chat4all.adapters.s3.presigning import signed_part_urls
from chat4all.concurrency.background_threads import background_threads
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.concurrency.slices import slices
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.buckets import Bucket
from chat4all.domain.errors import Conflict, NotFound, Overloaded, StartRefused, Unavailable
from chat4all.domain.files import StoredPart
from chat4all.ports.blobs import Chunks

CONNECTIONS = 256

READERS = 192
"""Objects that are read at a time. A slow reader holds a connection; some are left for writers."""

CALLS_MAX = 256
"""Calls that may be under way; one more is refused at once."""

CONNECT_SECONDS = 3.0

SILENCE_SECONDS = 15.0
"""How long a store may say nothing while it works, or while it sends an object."""

TRY_SECONDS = 20.0
"""One try, sending included: a part of 8 MiB at 4 Mbit/s."""

CALL_SECONDS = 50.0
"""A call with all its tries."""

TRYING = Backoff(first=0.5, most=2.0, tries=3, jitter=1.0)
"""A call that failed and may succeed next time."""

RESUMING = Backoff(first=0.2, most=2.0, tries=5, jitter=1.0)
"""How to go on with an object whose connection broke, as long as nothing comes."""

HASHED_AT_ONCE = 2
"""Bodies whose checksum is made."""

DELETIONS = 16
"""Objects that one call deletes at a time."""


class S3Blobs:
    """Sends requests to one bucket; opened, used and closed on one event loop.

    It is the port `ports.presigning.Presigning` too: for clients, which reach the store at
    `public_endpoint`.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._client: Any = None
        self._exits = AsyncExitStack()
        self._hashers = background_threads(HASHED_AT_ONCE, "s3-hasher")
        self._calls = BoundedWaiting(CALLS_MAX, CALL_SECONDS, "calls wait for the store of files")
        self._readers = BoundedWaiting(
            2 * READERS, CALL_SECONDS, "downloads wait for the store of files", slots=READERS
        )

    async def open(self) -> None:
        """Make the client; nothing is sent yet."""
        self._client = await self._exits.enter_async_context(
            AioSession().create_client(
                "s3",
                endpoint_url=self._bucket.endpoint,
                region_name=self._bucket.region,
                aws_access_key_id=self._bucket.access_key,
                aws_secret_access_key=self._bucket.secret_key,
                config=AioConfig(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=SILENCE_SECONDS,
                    max_pool_connections=CONNECTIONS,
                    # It has no deadline for sending: see `_call`.
                    retries={"total_max_attempts": 1},
                    # Content-MD5 is S3's oldest checksum, and it is made in a thread. Some stores
                    # refuse those that newer clients add by themselves.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    s3={"addressing_style": "path", "payload_signing_enabled": False},
                ),
            )
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._exits.aclose()
        await asyncio.to_thread(self._hashers.shutdown)

    async def begin(self, key: str, media_type: str) -> str:
        """Create a multipart upload; see `ports.blobs.Blobs`."""
        answer = await self._call(
            "create_multipart_upload", Key=checked_key(key), ContentType=media_type
        )
        return str(answer["UploadId"])

    async def write(self, key: str, upload: str, number: int, data: Chunks) -> StoredPart:
        """Upload a part; see `ports.blobs.Blobs`."""
        _check_upload(upload)
        body, size, md5 = await self._joined(data)
        del data  # it would be in memory twice
        with _no_upload_where_nothing_is_found():
            answer = await self._call(
                "upload_part",
                Key=checked_key(key),
                UploadId=upload,
                PartNumber=number,
                body=body,
                ContentMD5=md5,
            )
        return StoredPart(number, size, str(answer["ETag"]))

    async def finish(self, key: str, upload: str, parts: Sequence[StoredPart]) -> None:
        """Complete the upload; see `ports.blobs.Blobs`."""
        _check_upload(upload)
        if not parts:  # S3 completes no upload without parts
            await self.put(key, (), "application/octet-stream")
            await self.abort(key, upload)
            return
        named = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        try:
            with _no_upload_where_nothing_is_found():
                await self._call(
                    "complete_multipart_upload",
                    Key=checked_key(key),
                    UploadId=upload,
                    MultipartUpload={"Parts": named},
                    # Some stores copy the parts now.
                    try_seconds=CALL_SECONDS,
                )
        except NoSuchUpload:
            # Completed before, and the answer was lost?
            if await self._size(key) != sum(part.size for part in parts):
                raise

    async def abort(self, key: str, upload: str) -> None:
        """Abort the upload; see `ports.blobs.Blobs`."""
        try:
            _check_upload(upload)
            await self._call("abort_multipart_upload", Key=checked_key(key), UploadId=upload)
        except (NoSuchUpload, NotFound):
            return

    async def put(self, key: str, data: Chunks, media_type: str) -> None:
        """Put an object; see `ports.blobs.Blobs`."""
        body, _, md5 = await self._joined(data)
        del data
        await self._call(
            "put_object", Key=checked_key(key), body=body, ContentType=media_type, ContentMD5=md5
        )

    async def read(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """Get an object, going on where a connection broke; see `ports.blobs.Blobs`."""
        checked_key(key)
        end = None if length is None else start + length
        async with self._turn_to_read() as left:
            etag: str | None = None
            waited = CALL_SECONDS - left
            delays = RESUMING.delays()
            while end is None or start < end:
                try:
                    body, end, etag = await self._get(key, start, end, etag, waited)
                except OutsideObject:
                    return
                waited = 0.0
                async with body:
                    while piece := await _piece_of(body):
                        start += len(piece)
                        delays = RESUMING.delays()
                        yield piece
                if start < end:  # it broke
                    delay = next(delays, None)
                    if delay is None:
                        raise Unavailable(
                            f"{self._bucket} breaks off again and again while it sends an object",
                            PUBLIC,
                        )
                    await asyncio.sleep(delay)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, some at a time; see `ports.blobs.Blobs`."""
        # Not in one request: that needs a checksum that not every store supports.
        for some in slices([checked_key(key) for key in keys], DELETIONS):
            ended = await asyncio.gather(
                *(self._call("delete_object", Key=key) for key in some), return_exceptions=True
            )
            for error in ended:
                if isinstance(error, BaseException) and not isinstance(error, NotFound):
                    raise error

    async def part_urls(
        self, key: str, upload: str, sizes: Mapping[int, int], seconds: int
    ) -> Mapping[int, str]:
        """Sign the requests; see `ports.presigning.Presigning`."""
        _check_upload(upload)
        public = self._bucket.public_endpoint or self._bucket.endpoint
        bucket = replace(self._bucket, endpoint=public)
        # Some 60 microseconds each.
        return await asyncio.to_thread(
            signed_part_urls, bucket, checked_key(key), upload, sizes, seconds
        )

    async def parts(self, key: str, upload: str) -> Sequence[StoredPart]:
        """List the parts; see `ports.presigning.Presigning`."""
        _check_upload(upload)
        with _no_upload_where_nothing_is_found():
            answer = await self._call("list_parts", Key=checked_key(key), UploadId=upload)
        return [
            StoredPart(part["PartNumber"], part["Size"], str(part["ETag"]))
            for part in answer.get("Parts", ())
        ]

    async def ping(self) -> None:
        """Ask for the bucket; see `ports.blobs.Blobs`."""
        try:
            await self._call("head_bucket")
        except (NotFound, Unavailable) as error:
            if not isinstance(error.__cause__, ClientError):
                raise
            # An answer to HEAD has no body, which would say why it is refused.
            await self._call("list_objects_v2", MaxKeys=1)

    async def make_bucket(self, *, has_files: bool = False) -> None:
        """Make the bucket where there is none; nothing is changed in one that is there.

        Raises `StartRefused` where files are known to be in it: a new one would hide their loss.
        """
        try:
            await self._call("head_bucket")
        except NotFound:
            if has_files:
                raise StartRefused(
                    f"{self._bucket} has no bucket {self._bucket.name}, and the database has files "
                    "whose bytes are in one: set CHAT4ALL_S3_BUCKET to that; to go on without "
                    "them, make an empty one with the store's own tool"
                ) from None
            with suppress(Conflict):  # somebody else has made it meanwhile
                await self._call("create_bucket", **_region_of(self._bucket))
            await self.ping()

    @asynccontextmanager
    async def _turn_to_read(self) -> AsyncIterator[float]:
        """Yield the seconds that are left for the first answer."""
        try:
            async with self._readers.turn() as left:
                yield left
        except TimeoutError:
            raise Overloaded("too many downloads wait for the store of files") from None

    async def _get(
        self, key: str, start: int, end: int | None, etag: str | None, waited: float
    ) -> tuple[Any, int, str]:
        """Return the stream of a range, where it ends, and the object's ETag."""
        last = "" if end is None else end - 1
        same: dict[str, Any] = {} if etag is None else {"IfMatch": etag}
        where = f"bytes={start}-{last}"
        answer = await self._call("get_object", spent=waited, Key=key, Range=where, **same)
        return answer["Body"], start + answer["ContentLength"], str(answer["ETag"])

    async def _joined(self, data: Chunks) -> tuple[io.BytesIO, int, str]:
        """Return a body that can be sent again, its size and its checksum."""
        return await asyncio.get_running_loop().run_in_executor(self._hashers, _joined, data)

    async def _size(self, key: str) -> int | None:
        try:
            return int((await self._call("head_object", Key=key))["ContentLength"])
        except NotFound:
            return None

    async def _call(
        self,
        operation: str,
        *,
        body: io.BytesIO | None = None,
        try_seconds: float | None = None,
        spent: float = 0.0,
        **parameters: object,
    ) -> Mapping[str, Any]:
        """Return the answer to a request. Raises what `failing.explained` makes of an error.

        `spent`: the seconds that its caller has waited before.
        """

        async def once() -> Mapping[str, Any]:
            if body is not None:
                body.seek(0)
                parameters["Body"] = body
            async with asyncio.timeout(try_seconds or TRY_SECONDS):
                answer: Mapping[str, Any] = await getattr(self._client, operation)(
                    Bucket=self._bucket.name, **parameters
                )
                return answer

        try:
            async with self._calls.turn(spent) as seconds, asyncio.timeout(seconds):
                return await retry(once, TRYING, is_temporary=is_temporary)
        except (ClientError, *BROKEN) as error:
            raise explained(error, self._bucket) from error


def _region_of(bucket: Bucket) -> dict[str, Any]:
    if bucket.region == "us-east-1":  # S3's own default, which it does not take by its name
        return {}
    return {"CreateBucketConfiguration": {"LocationConstraint": bucket.region}}


def _check_upload(upload: str) -> None:
    if not upload:  # the request would be about the object itself
        raise NoSuchUpload


@contextmanager
def _no_upload_where_nothing_is_found() -> Iterator[None]:
    """Say `NoSuchUpload`: some stores answer for an upload that is gone as for an object."""
    try:
        yield
    except NotFound:
        raise NoSuchUpload from None


def _joined(data: Chunks) -> tuple[io.BytesIO, int, str]:
    """See `S3Blobs._joined`."""
    whole = b"".join(data)
    digest = hashlib.md5(whole, usedforsecurity=False).digest()
    # It shares these bytes; `getbuffer` would copy them.
    return io.BytesIO(whole), len(whole), base64.b64encode(digest).decode()


async def _piece_of(body: Any) -> bytes:
    """Return what comes next; nothing at the end, or where the connection broke."""
    try:
        return bytes(await body.read(PIECE))
    except BROKEN:
        return b""
