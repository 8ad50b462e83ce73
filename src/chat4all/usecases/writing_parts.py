"""Write the bytes of one request to an upload: in parts, of which at most two are in memory."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import Unavailable
from chat4all.domain.files import PART_BYTES, Progress, StoredPart, Tail, Upload
from chat4all.ports.blobs import Blobs
from chat4all.ports.files import Uploads

FENCES = 32
"""Fences that have part numbers and tails of their own: stores have numbers up to 10,000."""

ADVANCE_SECONDS = 10.0
"""How long keeping progress is tried again while the metadata service does not answer."""

_backoff = Backoff(0.1, 2.0)


def part_number(index: int, fence: int) -> int:
    """Return the store's number for a part, from 0 on: another one for each of `FENCES` fences."""
    return FENCES * index + fence % FENCES + 1


def tail_key(key: str, fence: int) -> str:
    """Return where the tail of an upload is put, which is kept at `key` when it is whole.

    One that a later fence puts in the same place begins with what was there.
    """
    return f"{key}.tail{fence % FENCES}"


def tail_keys(key: str) -> Sequence[str]:
    """Return every place where tails of an upload may be."""
    return [tail_key(key, fence) for fence in range(FENCES)]


class PartWriter:
    """Takes bytes from where the upload ends, and keeps its progress after each part.

    `digest` has all bytes of the parts so far, and goes on with them; None if it cannot.
    With `holds_back` nothing counts before `keep`.
    """

    def __init__(
        self, uploads: Uploads, blobs: Blobs, upload: Upload, *, digest: Any, holds_back: bool
    ) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._upload = upload
        self._holds_back = holds_back
        self._parts = [*upload.progress.parts]
        self._begins = sum(part.size for part in self._parts)
        """Where the part begins that is being filled."""
        self._buffer: list[bytes] = []
        self._filled = 0
        self._has_tail = upload.progress.tail is not None
        """Whether the upload has a tail that was not read yet."""
        self._writing: asyncio.Task[None] | None = None
        self.progress = upload.progress
        """What counts."""
        self.digest = digest
        """Of the parts, without the bytes after them."""

    @property
    def offset(self) -> int:
        """Return where the next byte belongs."""
        if self._has_tail:
            return self.progress.offset
        return self._begins + self._filled

    async def add(self, data: bytes) -> None:
        """Take bytes; wait while as many are being written as can be."""
        if self._has_tail and data:
            await self._read_tail()
        while data:
            some = data[: PART_BYTES - self._filled]
            self._buffer.append(some)
            self._filled += len(some)
            data = data[len(some) :]
            if self._filled == PART_BYTES:
                await self._write_full()

    async def keep(self) -> None:
        """Make everything count that was taken: the rest as a tail, or as the last part.

        Raises `Fenced` when another request has taken the upload.
        """
        await self.written()
        tail = self.progress.tail if self._has_tail else None
        ends = self._begins + self._filled == self._upload.size
        if self._filled == PART_BYTES or (self._filled and ends):
            await self._write(self._take_buffer(), advances=False)
        elif self._filled:
            tail = Tail(tail_key(self._upload.key, self._upload.fence), self._filled)
            await self._blobs.put(tail.key, self._buffer, self._upload.media_type)
        progress = Progress(tuple(self._parts), tail)
        if progress != self.progress:
            await self._advance(progress)

    async def renew(self) -> None:
        """Say that this request is alive. Raises `Fenced`."""
        await self._uploads.advance(self._upload.file_id, self._upload.fence, self.progress)

    async def written(self) -> None:
        """Wait until nothing is being written."""
        if self._writing is not None:
            # What is being written is written, also when this request is told to stop.
            await asyncio.shield(self._writing)
            self._writing = None

    async def drop(self) -> None:
        """Wait until nothing is being written, whatever comes of it, and forget the rest."""
        self._buffer.clear()
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def _write_full(self) -> None:
        await self.written()
        data = self._take_buffer()
        self._writing = asyncio.create_task(self._write(data, advances=not self._holds_back))
        # Otherwise what it raises is reported when this request is dropped.
        self._writing.add_done_callback(_note_error)

    async def _write(self, data: Sequence[bytes], *, advances: bool) -> None:
        upload, index = self._upload, len(self._parts)
        number = part_number(index, upload.fence)
        begins = sum(part.size for part in self._parts)
        part, _ = await asyncio.gather(
            self._blobs.write(upload.key, upload.store_upload, number, begins, data),
            self._digest(data),
        )
        self._parts.append(StoredPart(*part))
        if advances:
            await self._advance(Progress(tuple(self._parts)))

    async def _digest(self, data: Sequence[bytes]) -> None:
        if self.digest is not None:
            await asyncio.to_thread(update, self.digest, data)

    async def _advance(self, progress: Progress) -> None:
        file_id, fence = self._upload.file_id, self._upload.fence
        await retry(
            lambda: self._uploads.advance(file_id, fence, progress),
            _backoff,
            seconds=ADVANCE_SECONDS,
        )
        before, self.progress = self.progress.tail, progress
        if before is not None and (progress.tail is None or progress.tail.key != before.key):
            with suppress(Unavailable):  # all of them are deleted once the file is whole
                await self._blobs.delete([before.key])

    async def _read_tail(self) -> None:
        tail = self.progress.tail
        if tail is not None:
            read = [data async for data in self._blobs.read(tail.key, 0, tail.size)]
            # All or nothing: this may be cancelled at any moment.
            self._buffer, self._filled = read, sum(map(len, read))
        self._has_tail = False

    def _take_buffer(self) -> Sequence[bytes]:
        data, self._buffer = self._buffer, []
        self._begins += self._filled
        self._filled = 0
        return data


def new_digest() -> Any:
    """Return an empty SHA-256."""
    return hashlib.sha256()


def update(digest: Any, data: Sequence[bytes]) -> None:
    """Put bytes into a hash: for a thread, since it takes milliseconds."""
    for some in data:
        digest.update(some)


def _note_error(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()
