"""Upload files: begin, add bytes where the last ones ended, and finish.

A request that adds bytes holds the upload by its fence. Whatever of its body has arrived when it
ends or breaks off counts from then on, unless the body has a checksum.
"""

import asyncio
import base64
import hashlib
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from chat4all.concurrency.keyed import Turns
from chat4all.domain.errors import (
    ChecksumMismatch,
    Conflict,
    Fenced,
    NotFound,
    Overloaded,
    TooLarge,
    Unavailable,
)
from chat4all.domain.files import (
    LEASE_SECONDS,
    FileId,
    FileLimits,
    FileState,
    NewUpload,
    Quota,
    Upload,
)
from chat4all.domain.ids import Username
from chat4all.ports.blobs import Blobs
from chat4all.ports.files import Uploads
from chat4all.usecases.finishing import Finishing
from chat4all.usecases.writing_parts import PartWriter, new_digest, update

T = TypeVar("T")

AT_ONCE_MAX = 16
"""Requests of one process that add bytes at a time: each has up to three parts in memory."""

OF_USER_MAX = 4
"""How many of them may be one user's."""

RENEW_SECONDS = LEASE_SECONDS / 4

LET_GO_SECONDS = 10.0
"""How long to wait for another request of this process that was told to let go of an upload."""

DIGESTS_MAX = 1_000
"""Uploads whose hash goes on with the next request, if it comes to this process."""

ALGORITHMS = ("sha1", "sha256")
"""Of checksums."""

Body = AsyncIterator[bytes]
"""A body as it arrives. Raises `BodyBroken`."""


class BodyBroken(Exception):
    """The client has gone before the end of its body."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the whole body of a request hashes to."""

    algorithm: str
    digest: bytes

    @staticmethod
    def parse(text: str) -> "Checksum":
        """Return a checksum as tus writes it: an algorithm and base64. Raises `ValueError`."""
        algorithm, _, encoded = text.partition(" ")
        if algorithm not in ALGORITHMS:
            raise ValueError(f"the algorithms are {' and '.join(ALGORITHMS)}")
        digest = base64.b64decode(encoded, validate=True)
        if len(digest) != hashlib.new(algorithm).digest_size:
            raise ValueError(f"this is not as long as a {algorithm}")
        return Checksum(algorithm, digest)


@dataclass(slots=True, eq=False)
class _Request:
    """One request that adds bytes."""

    reading: "asyncio.Task[None]"
    ended: asyncio.Event
    was_stopped: bool = False

    def stop(self) -> None:
        self.was_stopped = True
        self.reading.cancel()


class Uploading:
    """Takes uploads from their owners. `limits` bounds each file, `quota` all of them together."""

    def __init__(
        self,
        uploads: Uploads,
        blobs: Blobs,
        finishing: Finishing,
        limits: FileLimits,
        quota: Quota,
    ) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._finishing = finishing
        self._quota = quota
        self.limits = limits
        self._requests: dict[FileId, _Request] = {}
        self._of_users: Counter[Username] = Counter()
        self._digests: OrderedDict[FileId, tuple[int, Any]] = OrderedDict()
        self._finishings: dict[FileId, asyncio.Task[Upload]] = {}
        self._settling = Turns[FileId]()
        self._is_ending = False

    async def begin(self, new: NewUpload) -> Upload:
        """Begin an upload. Raises `TooLarge` and `QuotaReached`.

        An empty one is a file at once. `store_upload` is made here.
        """
        most = self.limits.most(new.media_type)
        if new.size > most:
            raise TooLarge(f"a file of this type has at most {most:,} bytes")
        store_upload = await self._blobs.begin(new.key, new.media_type)
        try:
            upload = await self._uploads.create(
                replace(new, store_upload=store_upload), self._quota
            )
        except BaseException:
            with suppress(Unavailable):
                await self._blobs.abort(new.key, store_upload)
            raise
        return await self.settled(new.owner, upload.file_id) if new.size == 0 else upload

    async def settled(self, owner: Username, file_id: FileId) -> Upload:
        """Return an upload whose progress is final until its owner adds more.

        Takes it from any request that holds it, which may be dead, and finishes it if it is whole.
        """
        upload = await self._uploads.find(file_id, owner)
        if upload.state is not FileState.UPLOADING:
            return upload
        if upload.is_direct and upload.progress.offset < upload.size:
            raise _sent_elsewhere()
        # One at a time of those who ask at once: the first one may have to finish it.
        async with self._settling.of(file_id):
            return await self._settled(owner, file_id)

    async def _settled(self, owner: Username, file_id: FileId) -> Upload:
        if (finishing := self._finishings.get(file_id)) is not None:
            # Taking it over would repeat all that work for each client that asks.
            await asyncio.wait({finishing})
            if finishing.cancelled():
                raise Fenced("another request has taken this upload")
            return finishing.result()
        await self._let_go(file_id)
        upload = await self._uploads.take(file_id, owner, force=True)
        if upload.state is not FileState.UPLOADING:
            return upload
        try:
            if upload.progress.offset == upload.size:
                return await self._finish(upload, self._writer(upload, None))
        finally:
            await self._release(upload)
        return upload

    async def append(
        self,
        owner: Username,
        file_id: FileId,
        offset: int,
        body: Body,
        checksum: Checksum | None = None,
        *,
        length: int | None = None,
    ) -> Upload:
        """Add a body's bytes at `offset`, and return the upload as it is then.

        `length` is how many they are, if that is known.

        Raises `Conflict` for another offset than the upload's, `Busy` while another request holds
        it, `Fenced` when one takes it away, `ChecksumMismatch` and then nothing has changed,
        `TooLarge` for bytes beyond the end, `BodyBroken`, and `Overloaded` when too many are being
        uploaded. What had arrived counts all the same, without a checksum.
        """
        if self._is_ending or self._of_users.total() >= AT_ONCE_MAX:
            raise Overloaded("too many files are being uploaded")
        if self._of_users[owner] >= OF_USER_MAX:
            raise Overloaded("this user is uploading too many files at once")
        self._of_users[owner] += 1
        try:
            upload = await self._uploads.take(file_id, owner, force=False)
            is_whole = upload.state is not FileState.UPLOADING
            now = upload.size if is_whole else upload.progress.offset
            try:
                if upload.is_direct and not is_whole:
                    raise _sent_elsewhere()
                if offset != now:
                    raise Conflict(f"the upload is at offset {now}: ask with HEAD, and go on there")
                if length is not None and offset + length > upload.size:
                    raise _too_large(upload.size)
                if is_whole:
                    return upload
                await self._let_go(file_id)
                return await self._append(upload, body, checksum)
            finally:
                await self._release(upload)
        finally:
            self._of_users -= Counter([owner])

    async def end(self, owner: Username, file_id: FileId) -> None:
        """Give up an upload, or a file that no message names."""
        await self._uploads.end(file_id, owner)
        if (request := self._requests.get(file_id)) is not None:
            request.stop()

    def stop(self) -> None:
        """Let go of every upload: what has arrived is kept, and their clients go on elsewhere."""
        self._is_ending = True
        for request in self._requests.values():
            request.stop()

    async def _append(self, upload: Upload, body: Body, checksum: Checksum | None) -> Upload:
        writer = self._writer(upload, checksum)
        hashed = hashlib.new(checksum.algorithm) if checksum else None
        reading = asyncio.create_task(_read(body, writer, upload.size, hashed))
        request = _Request(reading, asyncio.Event())
        self._requests[upload.file_id] = request
        try:
            broken = await self._read(request, writer)
            if checksum is not None:
                if broken is not None:
                    raise broken
                if hashed is None or hashed.digest() != checksum.digest:
                    raise ChecksumMismatch("the body is not what Upload-Checksum says")
            await writer.keep()
            if broken is not None:
                raise broken
            if writer.progress.offset == upload.size:
                return await self._finish(upload, writer)
            self._note_digest(upload.file_id, writer)
            return replace(upload, progress=writer.progress)
        finally:
            await writer.drop()
            if checksum is not None:
                await writer.discard()
            if self._requests.get(upload.file_id) is request:
                del self._requests[upload.file_id]
            request.ended.set()

    async def _read(self, request: _Request, writer: PartWriter) -> Exception | None:
        """Read the body; return why it is not whole."""
        try:
            await _held(request.reading, writer)
        except BodyBroken as error:
            return error
        except asyncio.CancelledError:
            if not request.was_stopped:
                raise
            if self._is_ending:
                return Overloaded("this gateway is ending")
            return Fenced("another request has taken this upload")
        return None

    def _writer(self, upload: Upload, checksum: Checksum | None) -> PartWriter:
        begins = sum(part.size for part in upload.progress.parts)
        digest = new_digest() if begins == 0 else None
        kept = self._digests.get(upload.file_id)
        if kept is not None and kept[0] == begins:
            digest = kept[1].copy()
        return PartWriter(
            self._uploads,
            self._blobs,
            upload,
            digest=digest,
            holds_back=checksum is not None,
        )

    def _note_digest(self, file_id: FileId, writer: PartWriter) -> None:
        if writer.digest is not None:
            begins = sum(part.size for part in writer.progress.parts)
            self._digests[file_id] = begins, writer.digest
            self._digests.move_to_end(file_id)
            if len(self._digests) > DIGESTS_MAX:
                self._digests.popitem(last=False)

    async def _finish(self, upload: Upload, writer: PartWriter) -> Upload:
        whole = replace(upload, progress=writer.progress)

        async def finish() -> Upload:
            file = await self._finishing.finish(whole, writer.digest)
            return replace(whole, state=file.state)

        finishing = self._finishings[upload.file_id] = asyncio.create_task(finish())
        try:
            return await _held(finishing, writer)
        finally:
            if self._finishings.get(upload.file_id) is finishing:
                del self._finishings[upload.file_id]
            self._digests.pop(upload.file_id, None)

    async def _let_go(self, file_id: FileId) -> None:
        """Stop the request of this process that holds an upload; wait until it has kept all."""
        if (request := self._requests.get(file_id)) is not None:
            request.stop()
            with suppress(TimeoutError):  # then its fence is too old
                async with asyncio.timeout(LET_GO_SECONDS):
                    await request.ended.wait()

    async def _release(self, upload: Upload) -> None:
        with suppress(Unavailable, NotFound):  # it lets go by itself after a while
            await self._uploads.release(upload.file_id, upload.fence)


async def _read(body: Body, writer: PartWriter, size: int, hashed: Any) -> None:
    async for data in body:
        room = size - writer.offset
        if hashed is not None:
            await asyncio.to_thread(update, hashed, [data])
        await writer.add(data[:room])
        if len(data) > room:
            raise _too_large(size)


async def _held(work: "asyncio.Task[T]", writer: PartWriter) -> T:
    """Return the result of `work`, while the upload is held. Raises `Fenced`."""
    try:
        while not (await asyncio.wait({work}, timeout=RENEW_SECONDS))[0]:
            with suppress(Unavailable):  # the lease may last until it answers again
                await writer.renew()
        return work.result()
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait({work})


def _sent_elsewhere() -> Conflict:
    return Conflict("the parts of this upload go to the store of files: send it as it was begun")


def _too_large(size: int) -> TooLarge:
    return TooLarge(f"the upload has {size:,} bytes, and this body goes beyond them")
