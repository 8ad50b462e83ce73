"""Upload files: begin, add bytes where the last ones ended, and finish.

A request that adds bytes holds the upload by its fence. Whatever of its body has arrived when it
ends or breaks off counts from then on, unless the body has a checksum.
"""

import asyncio
import hashlib
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from chat4all.concurrency.keyed import Turns
from chat4all.concurrency.pacing import Pace
from chat4all.concurrency.renewing import renewed
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.concurrency.room import Room, Share
from chat4all.domain.errors import (
    Busy,
    ChecksumMismatch,
    Conflict,
    Fenced,
    NotFound,
    OutcomeUnknown,
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
from chat4all.usecases.bodies import Body, BodyBroken, Checksum
from chat4all.usecases.finishing import Finishing
from chat4all.usecases.writing_parts import PartWriter, new_digest

MEMORY = 256 * 1024 * 1024
"""Bytes that one process has in memory of all bodies that it is receiving: 32 whole parts."""

WAITING_MAX = 64
"""Requests that may wait for some of it. Their bodies are not read meanwhile."""

RENEW_SECONDS = LEASE_SECONDS / 4

LET_GO_SECONDS = 10.0
"""How long to wait for another request of this process that was told to let go of an upload."""

FINISH_SECONDS = 45.0
"""How long a request waits for others that have an upload, and for one that makes a file of it: to
read 2 GiB takes some seconds to minutes."""

_ASKING = Backoff(0.05, 2.0)
"""How often another gateway is waited for."""

DIGESTS_MAX = 1_000
"""Uploads whose hash goes on with the next request, if it comes to this process."""


@dataclass(slots=True, eq=False)
class _Request:
    """One request that adds bytes."""

    reading: "asyncio.Task[None]"
    ended: asyncio.Event
    stopped: Exception | None = None
    """Why it was told to end, if it was."""

    def stop(self, why: Exception) -> None:
        self.stopped = self.stopped or why
        self.reading.cancel()


class Uploading:
    """Takes uploads from their owners. `limits` bounds each file, `quota` all of them together.

    `pace` is how fast their bytes are taken: a `Pace` of bytes.
    """

    def __init__(
        self,
        uploads: Uploads,
        blobs: Blobs,
        finishing: Finishing,
        limits: FileLimits,
        quota: Quota,
        pace: Pace,
    ) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._finishing = finishing
        self._quota = quota
        self._pace = pace
        self.limits = limits
        self._requests: dict[FileId, _Request] = {}
        self._memory = Room[Username](MEMORY, WAITING_MAX, "files are being uploaded")
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
        except BaseException as error:
            if isinstance(error, (OutcomeUnknown, asyncio.CancelledError)):
                try:
                    await self._uploads.end(new.file_id, new.owner)
                except NotFound:
                    pass
                except Unavailable:
                    raise error from None  # with its bytes it can go on, or expires
            with suppress(Unavailable):
                await self._blobs.abort(new.key, store_upload)
            raise
        if new.size > 0:
            return upload
        try:
            return await self.settled(new.owner, upload.file_id)
        except Exception:
            await self.take_back(upload)
            raise

    async def settled(
        self, owner: Username, file_id: FileId, seconds: float | None = None
    ) -> Upload:
        """Return an upload whose progress is final until its owner adds more.

        Takes it from any request that holds it, which may be dead, and finishes it if it is whole.
        Raises `Busy` if others take longer than `seconds` to finish it, or `FINISH_SECONDS`.
        """
        upload = await self._uploads.find(file_id, owner)
        if upload.state is not FileState.UPLOADING:
            return upload
        if upload.is_direct and upload.progress.offset < upload.size:
            raise _sent_elsewhere()
        try:
            async with asyncio.timeout(FINISH_SECONDS if seconds is None else seconds) as waiting:
                # One at a time of those who ask at once: the first one may have to finish it.
                async with self._settling.of(file_id):
                    return await self._settled(owner, file_id, waiting)
        except TimeoutError:
            if waiting.expired():
                raise being_finished() from None
            raise

    async def _settled(self, owner: Username, file_id: FileId, waiting: asyncio.Timeout) -> Upload:
        # To take over a finish would repeat all that work for each client that asks.
        upload = await retry(
            lambda: self._take_over(owner, file_id),
            _ASKING,
            is_temporary=lambda error: isinstance(error, Busy),
        )
        waiting.reschedule(None)  # cut off, its own work would begin anew with the next request
        if upload.state is not FileState.UPLOADING:
            return upload
        try:
            if upload.progress.offset == upload.size:
                with self._memory.share(owner, lambda: None) as share:  # it takes none
                    return await self._finish(upload, self._writer(upload, None, share))
        finally:
            await self._release(upload)
        return upload

    async def _take_over(self, owner: Username, file_id: FileId) -> Upload:
        """Take an upload from whatever holds it; `Busy` while it is made a file."""
        if (finishing := self._finishings.get(file_id)) is not None:
            await asyncio.wait({finishing})
            if finishing.cancelled():
                raise _fenced()
            return finishing.result()
        await self._let_go(file_id)
        return await self._uploads.take(file_id, owner, force=True)

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
        uploaded: also to a slow one that others wait for. What had arrived counts all the same,
        without a checksum: all of it, or its whole parts where the body is too large.
        """
        if self._is_ending:
            raise _ending()
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

    async def end(self, owner: Username, file_id: FileId) -> None:
        """Give up an upload, or a file that no message names."""
        await self._uploads.end(file_id, owner)
        if (request := self._requests.get(file_id)) is not None:
            request.stop(_fenced())

    async def take_back(self, upload: Upload) -> None:
        """End an upload whose client does not learn of it; `OutcomeUnknown` if it may stay."""
        try:
            await self.end(upload.owner, upload.file_id)
        except NotFound:
            pass
        except Unavailable as error:
            raise OutcomeUnknown(str(error), error.public) from error

    def stop(self) -> None:
        """Let go of every upload: what has arrived is kept, and their clients go on elsewhere."""
        self._is_ending = True
        for request in self._requests.values():
            request.stop(_ending())

    async def _append(self, upload: Upload, body: Body, checksum: Checksum | None) -> Upload:
        def let_go() -> None:
            request.stop(Overloaded("others wait to upload, and this client is slow: go on later"))

        with self._memory.share(upload.owner, let_go) as share:
            writer = self._writer(upload, checksum, share)
            hashed = hashlib.new(checksum.algorithm) if checksum else None
            reading = asyncio.create_task(self._copy(body, writer, share, upload.size, hashed))
            request = _Request(reading, asyncio.Event())
            self._requests[upload.file_id] = request
            if self._is_ending:  # since it asked for the upload
                request.stop(_ending())
            return await self._receive(request, upload, writer, checksum, hashed)

    async def _receive(
        self,
        request: _Request,
        upload: Upload,
        writer: PartWriter,
        checksum: Checksum | None,
        hashed: Any,
    ) -> Upload:
        """Read the body to its end; return the upload as it is then."""
        try:
            broken = await self._read(request, writer)
            if checksum is not None:
                if broken is not None:
                    raise broken
                if hashed is None or hashed.digest() != checksum.digest:
                    raise ChecksumMismatch("the body is not what Upload-Checksum says")
            await writer.keep()
            self._note_digest(upload.file_id, writer)
            if broken is not None:
                raise broken
            if writer.progress.offset == upload.size:
                return await self._finish(upload, writer)
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
            await renewed(request.reading, writer.renew, RENEW_SECONDS)
        except BodyBroken as error:
            return error
        except asyncio.CancelledError:
            if request.stopped is None:
                raise
            return request.stopped
        return None

    async def _copy(
        self, body: Body, writer: PartWriter, share: Share[Username], size: int, hashed: Any
    ) -> None:
        """Give a body to the writer, piece by piece."""
        async for data in body:
            room = size - writer.offset
            if hashed is not None:
                hashed.update(data)
            await writer.add(data[:room])
            if len(data) > room:
                raise _too_large(size)
            if seconds := self._pace.pay(len(data)):
                share.excuse(seconds)
                await asyncio.sleep(seconds)

    def _writer(
        self, upload: Upload, checksum: Checksum | None, share: Share[Username]
    ) -> PartWriter:
        begins = sum(part.size for part in upload.progress.parts)
        digest = new_digest() if begins == 0 else None
        kept = self._digests.get(upload.file_id)
        if kept is not None and kept[0] == begins:
            digest = kept[1].copy()
        return PartWriter(
            self._uploads,
            self._blobs,
            upload,
            share,
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
            return await renewed(finishing, writer.renew, RENEW_SECONDS)
        finally:
            if self._finishings.get(upload.file_id) is finishing:
                del self._finishings[upload.file_id]
            self._digests.pop(upload.file_id, None)

    async def _let_go(self, file_id: FileId) -> None:
        """Stop the request of this process that holds an upload; wait until it has kept all."""
        if (request := self._requests.get(file_id)) is not None:
            request.stop(_fenced())
            with suppress(TimeoutError):  # then its fence is too old
                async with asyncio.timeout(LET_GO_SECONDS):
                    await request.ended.wait()

    async def _release(self, upload: Upload) -> None:
        with suppress(Unavailable, NotFound):  # it lets go by itself after a while
            await self._uploads.release(upload.file_id, upload.fence)


def _fenced() -> Fenced:
    return Fenced("another request has taken this upload")


def being_finished() -> Busy:
    """Return what those are told who have waited for others to finish an upload."""
    return Busy("this upload is whole, and being finished: ask again in a while")


def _ending() -> Overloaded:
    return Overloaded("this gateway is ending")


def _sent_elsewhere() -> Conflict:
    return Conflict("the parts of this upload go to the store of files: send it as it was begun")


def _too_large(size: int) -> TooLarge:
    return TooLarge(f"the upload has {size:,} bytes, and this body goes beyond them")
