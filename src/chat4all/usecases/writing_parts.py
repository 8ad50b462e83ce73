"""Write the bytes of one request to an upload, in parts: a few of them are in memory at most."""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from chat4all.concurrency.background_threads import background_threads
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.concurrency.room import Share
from chat4all.domain.errors import Conflict, NotFound, Unavailable
from chat4all.domain.files import LEASE_SECONDS, PART_BYTES, Progress, Tail, Upload, tail_key
from chat4all.domain.ids import Username
from chat4all.ports.blobs import Blobs
from chat4all.ports.files import Uploads
from chat4all.usecases.giving_up import given_up

IN_FLIGHT = 2
"""Parts of one request that are written at once, while another one is filled: a store syncs or
acknowledges each, and waiting for one after the other takes several times as long."""

FENCES = 32
"""Fences that have part numbers of their own: stores have numbers up to 10,000."""

JOINED_BYTES = 4_096
"""Pieces that are smaller are joined."""

HASHED_AT_ONCE = 2
"""Pieces and parts, of all requests."""

MEMORY_MIN = 256 * 1024
"""Bytes of memory that a request counts for at least: a piece of its body has as many."""

ADVANCE_SECONDS = 10.0
"""How long keeping progress is tried again while the metadata service does not answer."""

_backoff = Backoff(0.1, 2.0)
_hashers = background_threads(HASHED_AT_ONCE, "hasher")


def part_number(index: int, fence: int) -> int:
    """Return the store's number for a part, from 0 on: another one for each of `FENCES` fences."""
    return FENCES * index + fence % FENCES + 1


class PartWriter:
    """Takes bytes from where the upload ends, and keeps its progress after each part.

    `share` is its memory, taken for each part before its first byte.
    `digest` has all bytes of the parts so far, and goes on with them; None if it cannot.
    With `holds_back` nothing counts before `keep`.
    """

    def __init__(
        self,
        uploads: Uploads,
        blobs: Blobs,
        upload: Upload,
        share: Share[Username],
        *,
        digest: Any,
        holds_back: bool,
    ) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._upload = upload
        self._share = share
        self._taken = 0
        """Bytes of memory for the part that is being filled."""
        self._holds_back = holds_back
        self._parts = [*upload.progress.parts]
        self._count = len(self._parts)
        """Of parts, those that are being written included."""
        self._begins = sum(part.size for part in self._parts)
        """Where the part begins that is being filled."""
        self._buffer: list[bytes] = []
        self._filled = 0
        self._has_tail = upload.progress.tail is not None
        """Whether the upload has a tail that was not read yet."""
        self._may_count = False
        """Whether parts that are held back may count by now: no answer has to have said so."""
        self._writing: deque[asyncio.Task[None]] = deque()
        self._hashing = asyncio.Lock()
        self._heard = time.monotonic()
        """When the upload was known to be there, and ours."""
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
            await self._take_memory()
            await self._read_tail()
        while data:
            await self._take_memory()
            some = data[: PART_BYTES - self._filled]
            if self._buffer and len(self._buffer[-1]) < JOINED_BYTES:
                self._buffer[-1] += some  # an object for each small piece would take far more
            else:
                self._buffer.append(some)
            self._filled += len(some)
            data = data[len(some) :]
            if self._filled == PART_BYTES:
                self._share.work()
                await self._until_written(IN_FLIGHT - 1)
                self._write()

    async def keep(self) -> None:
        """Make everything count that was taken: the rest as a tail, or as the last part.

        Raises `Fenced` when another request has taken the upload, `NotFound` when it is given up.
        """
        self._may_count = True
        ends = self._begins + self._filled == self._upload.size
        if self._filled == PART_BYTES or (self._filled and ends):
            self._write()
        await self._until_written()
        tail = self.progress.tail if self._has_tail else None
        if self._filled:
            tail = Tail(tail_key(self._upload.key, self._upload.fence), self._filled)
            if time.monotonic() - self._heard > LEASE_SECONDS:
                # Nobody would delete the tail of an upload that is given up since.
                await self.renew()
            await self._blobs.put(tail.key, self._take_buffer(), self._upload.media_type)
        try:
            await self._advance(Progress(tuple(self._parts), tail))
        except NotFound:
            # Not when it is fenced: the tail counts if only the answer was lost that said so.
            if self._filled and tail is not None:
                with suppress(Unavailable):
                    await self._blobs.delete([tail.key])
            raise

    async def renew(self) -> None:
        """Say that this request is alive. Raises `Fenced`."""
        await self._uploads.advance(self._upload.file_id, self._upload.fence, self.progress)
        self._heard = time.monotonic()

    async def drop(self) -> None:
        """Wait until nothing is being written, whatever comes of it, and forget the rest."""
        self._buffer.clear()
        if self._writing:
            await asyncio.wait(self._writing)

    async def discard(self) -> None:
        """Leave next to nothing of the parts that do not count: they count for no quota.

        Otherwise bodies with wrong checksums could fill the store.
        """
        if self._may_count:
            return
        for part in self._parts[len(self.progress.parts) :]:
            with suppress(Unavailable, Conflict):
                await self._blobs.write(
                    self._upload.key, self._upload.store_upload, part.number, [b"-"]
                )

    async def _take_memory(self) -> None:
        if not self._taken:
            needed = max(MEMORY_MIN, min(PART_BYTES, self._upload.size - self._begins))
            await self._share.take(needed)
            self._taken = needed

    async def _until_written(self, most: int = 0) -> None:
        """Wait until no more than so many parts are being written."""
        while len(self._writing) > most:
            # What is being written is written, also when this request is told to stop.
            await asyncio.shield(self._writing[0])
            self._writing.popleft()

    def _take_buffer(self) -> list[bytes]:
        """Return the bytes of the part that is filled, which the store alone holds from now on."""
        data, self._buffer = self._buffer, []
        return data

    def _write(self) -> None:
        """Begin to write the part that is filled."""
        data = self._take_buffer()
        taken, self._taken = self._taken, 0
        self._begins += self._filled
        self._filled = 0
        before = self._writing[-1] if self._writing else None
        number = part_number(self._count, self._upload.fence)
        self._count += 1
        writing = asyncio.create_task(self._written(number, data, taken, before))
        writing.add_done_callback(_note_error)
        self._writing.append(writing)

    async def _written(
        self,
        number: int,
        data: Sequence[bytes],
        taken: int,
        before: "asyncio.Task[None] | None",
    ) -> None:
        """Write a part, and give its memory back; it counts once all before it do."""
        upload = self._upload
        writing = self._blobs.write(upload.key, upload.store_upload, number, data)
        hashing = self._hash(data)
        del data  # a store may make one piece of it, and need these no more
        try:
            part, _ = await asyncio.gather(writing, hashing)
        except Conflict as error:
            if before is not None:
                await asyncio.shield(before)  # its own error is this one
            raise await given_up(self._uploads, upload, str(error)) from error
        finally:
            self._share.give_back(taken)
        if before is not None:
            await asyncio.shield(before)
        self._parts.append(part)
        if not self._holds_back:
            await self._advance(Progress(tuple(self._parts)))

    async def _hash(self, data: Sequence[bytes]) -> None:
        if self.digest is not None:
            async with self._hashing:  # a queue: parts are hashed in their order
                await update(self.digest, data)

    async def _advance(self, progress: Progress) -> None:
        if progress == self.progress:
            return
        file_id, fence = self._upload.file_id, self._upload.fence
        await retry(
            lambda: self._uploads.advance(file_id, fence, progress),
            _backoff,
            seconds=ADVANCE_SECONDS,
        )
        self._heard = time.monotonic()
        before, self.progress = self.progress.tail, progress
        if before is not None and before != progress.tail:
            with suppress(Unavailable):  # all of them are deleted once the file is whole
                await self._blobs.delete([before.key])

    async def _read_tail(self) -> None:
        tail = self.progress.tail
        if tail is not None:
            read = list[bytes]()
            with suppress(NotFound):
                read = [data async for data in self._blobs.read(tail.key, 0, tail.size)]
            if sum(map(len, read)) != tail.size:
                cause = "the bytes after its last part are not as they were written"
                raise await given_up(self._uploads, self._upload, cause)
            # Set together: this may be cancelled at any `await`.
            self._buffer, self._filled = read, sum(map(len, read))
        self._has_tail = False


def new_digest() -> Any:
    """Return an empty SHA-256."""
    return hashlib.sha256()


async def update(digest: Any, data: Sequence[bytes]) -> None:
    """Put bytes into a hash, in a thread with a low priority, since it takes milliseconds."""

    def put() -> None:
        for some in data:
            digest.update(some)

    await asyncio.get_running_loop().run_in_executor(_hashers, put)


def _note_error(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()
