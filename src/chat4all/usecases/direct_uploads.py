"""Upload files straight to the store: its owner sends the parts, and names them when all are there.

Nothing of an upload counts before that: what the store has of it may still be replaced. The ETags
that are named say which bytes are meant, and the store joins no others.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from chat4all.concurrency.keyed import Turns
from chat4all.domain.errors import (
    Busy,
    ChecksumMismatch,
    Conflict,
    Fenced,
    FieldError,
    InvalidInput,
    NotFound,
)
from chat4all.domain.files import (
    PART_BYTES,
    URL_SECONDS,
    FileId,
    FileState,
    NewUpload,
    Progress,
    StoredFile,
    StoredPart,
    Upload,
)
from chat4all.domain.ids import Username
from chat4all.ports.blobs import Blobs
from chat4all.ports.files import Files, Uploads
from chat4all.ports.presigning import Presigning
from chat4all.usecases.uploading import FINISH_SECONDS, Uploading, being_finished

NAMED_MAX = 10
"""Parts that are named in an error."""

JOINED = "the parts of this upload are joined already: complete it with the ETags that they had"


class DirectPart(NamedTuple):
    """A part that its owner is to send to `url`; `etag` is None until the store has it."""

    number: int
    size: int
    url: str
    etag: str | None


class DirectUpload(NamedTuple):
    """An upload, and all of its parts in order. Their URLs expire, in seconds since 1970."""

    upload: Upload
    part_size: int
    parts: Sequence[DirectPart]
    urls_expire_at: int


class DirectUploads:
    """Takes uploads whose parts do not come through a gateway.

    Without `presigning` there are none, and only `are_possible` may be asked.
    """

    def __init__(
        self,
        uploading: Uploading,
        uploads: Uploads,
        files: Files,
        blobs: Blobs,
        presigning: Presigning | None,
    ) -> None:
        self._uploading = uploading
        self._uploads = uploads
        self._files = files
        self._blobs = blobs
        self._presigning = presigning
        self._joining = Turns[FileId]()

    @property
    def are_possible(self) -> bool:
        """Say whether clients can reach the store."""
        return self._presigning is not None

    async def begin(self, new: NewUpload) -> DirectUpload:
        """Begin an upload. Raises `TooLarge` and `QuotaReached`.

        Whether its client heard of it shows when it asks for the upload again, or completes it.
        """
        upload = await self._uploading.begin(replace(new, is_direct=True))
        try:
            return await self._described(upload, {})
        except Exception:
            await self._uploading.take_back(upload)
            raise

    async def find(self, owner: Username, file_id: FileId) -> DirectUpload:
        """Return an upload with new URLs, and what the store has of it.

        Raises `Conflict` for what is complete, and for an upload that goes through gateways.
        """
        upload = await self._uploads.find(file_id, owner)
        _check_direct(upload)
        if upload.state is not FileState.UPLOADING:
            raise Conflict("this upload is complete: it is a file now")
        if upload.progress.offset == upload.size:
            raise Conflict(JOINED)
        try:
            stored = await self._stored(upload)
        except Conflict:
            raise Conflict(JOINED) from None
        return await self._described(await self._kept_longer(upload), stored)

    async def complete(
        self,
        owner: Username,
        file_id: FileId,
        named: Mapping[int, str],
        sha256: str | None = None,
    ) -> StoredFile:
        """Make a file of the parts with these ETags, by number; again returns the same file.

        Raises `Conflict` for parts that the store does not have so, `InvalidInput` unless all
        are named and no others, `ChecksumMismatch`: then the upload is gone, and `Busy` if others
        that complete it take longer than `FINISH_SECONDS`.
        """
        upload = await self._uploads.find(file_id, owner)
        _check_direct(upload)
        if {*named} != {*_sizes(upload)}:
            detail = f"name each part of the upload once: there are {len(_sizes(upload))}"
            raise InvalidInput([FieldError("/parts", detail)])
        ends = time.monotonic() + FINISH_SECONDS
        joining = self._joining.of(file_id)  # the first of those who ask at once does it
        is_first = not joining.locked()
        try:
            async with asyncio.timeout(FINISH_SECONDS) as waiting, joining:
                if is_first:
                    waiting.reschedule(None)  # the store's own deadlines are enough
                upload = await self._uploads.find(file_id, owner)
                if upload.state is FileState.UPLOADING and upload.progress.offset < upload.size:
                    await self._join(upload, named)
        except TimeoutError:
            if waiting.expired():
                raise being_finished() from None
            raise
        left = None if is_first else ends - time.monotonic()
        await self._uploading.settled(owner, file_id, left)
        file = await self._files.find(file_id, owner)
        if sha256 is not None and sha256 != file.facts.sha256:
            if upload.state is FileState.UPLOADING:
                with suppress(Conflict, NotFound):  # named by a message, or deleted, meanwhile
                    await self._uploads.end(file_id, owner)
            raise ChecksumMismatch("the file is not what sha256 says: begin the upload again")
        return file

    async def _join(self, upload: Upload, named: Mapping[int, str]) -> None:
        parts = await self._checked(upload, named)
        await self._blobs.finish(upload.key, upload.store_upload, parts)
        taken = await self._uploads.take(upload.file_id, upload.owner, force=True)
        if taken.state is FileState.UPLOADING:
            await self._uploads.advance(upload.file_id, taken.fence, Progress(parts))
            await self._uploads.release(upload.file_id, taken.fence)

    async def _checked(self, upload: Upload, named: Mapping[int, str]) -> Sequence[StoredPart]:
        """Return the parts that are named, as the store has them. Raises `Conflict`."""
        sizes = _sizes(upload)
        try:
            stored = await self._stored(upload)
        except Conflict:
            # Joined before by a process that was killed then? Only the size can be checked now,
            # which finishing does.
            return [StoredPart(one, size, named[one]) for one, size in sizes.items()]
        wrong = [
            one for one in sizes if one not in stored or _bare(stored[one]) != _bare(named[one])
        ]
        if wrong:
            listed = ", ".join(map(str, wrong[:NAMED_MAX]))
            more = f" and {len(wrong) - NAMED_MAX} others" if len(wrong) > NAMED_MAX else ""
            raise Conflict(
                f"the store does not have these parts with these ETags: {listed}{more}; send them "
                "again"
            )
        return [StoredPart(one, size, stored[one]) for one, size in sizes.items()]

    async def _stored(self, upload: Upload) -> Mapping[int, str]:
        """Return the ETags of the parts that the store has in the size that they are to have."""
        sizes = _sizes(upload)
        parts = await self._signer.parts(upload.key, upload.store_upload)
        return {part.number: part.etag for part in parts if sizes.get(part.number) == part.size}

    async def _kept_longer(self, upload: Upload) -> Upload:
        """Put off the end of an upload: nobody sees whether its parts arrive."""
        with suppress(Busy, Fenced):  # it is being completed
            taken = await self._uploads.take(upload.file_id, upload.owner, force=False)
            await self._uploads.advance(upload.file_id, taken.fence, taken.progress)
            await self._uploads.release(upload.file_id, taken.fence)
        return await self._uploads.find(upload.file_id, upload.owner)

    async def _described(self, upload: Upload, stored: Mapping[int, str]) -> DirectUpload:
        sizes, until = _sizes(upload), int(time.time()) + URL_SECONDS
        urls = await self._signer.part_urls(upload.key, upload.store_upload, sizes, URL_SECONDS)
        parts = [
            DirectPart(number, size, urls[number], stored.get(number))
            for number, size in sizes.items()
        ]
        return DirectUpload(upload, PART_BYTES, parts, until)

    @property
    def _signer(self) -> Presigning:
        if self._presigning is None:
            raise RuntimeError("clients cannot reach the store of files")
        return self._presigning


def _sizes(upload: Upload) -> Mapping[int, int]:
    """Return the bytes of each part, by number: an empty file has none."""
    begins = range(0, upload.size, PART_BYTES)
    return {
        number: min(PART_BYTES, upload.size - begin) for number, begin in enumerate(begins, start=1)
    }


def _check_direct(upload: Upload) -> None:
    if not upload.is_direct:
        raise Conflict("this upload goes through the gateway: send it with PATCH")


def _bare(etag: str) -> str:
    """Return an ETag without the quotes, which some clients drop."""
    return etag.strip().strip('"')
