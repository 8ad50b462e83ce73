"""Blobs and uploads in memory, which a test can slow down, break and look into."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from chat4all.domain.errors import Busy, Conflict, Fenced, NotFound
from chat4all.domain.files import (
    FileFacts,
    FileId,
    FileState,
    NewUpload,
    Progress,
    Quota,
    StoredFile,
    StoredPart,
    Upload,
)
from chat4all.domain.ids import Username
from chat4all.ports.blobs import Blobs, Chunks

Hook = Callable[[], Coroutine[Any, Any, None]]


async def nothing() -> None:
    pass


class MemoryBlobs:
    """A store. `before_write` is awaited before a part is written."""

    part_min = 1

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.before_write: Hook = nothing
        self.writing = 0
        self.writing_most = 0

    async def begin(self, key: str, media_type: str) -> str:
        self.parts[key] = {}
        return f"upload of {key}"

    async def write(self, key: str, upload: str, number: int, data: Chunks) -> StoredPart:
        self.writing += 1
        self.writing_most = max(self.writing_most, self.writing)
        try:
            await self.before_write()
            if key not in self.parts:
                raise Conflict("no such upload")
            whole = b"".join(data)
            self.parts[key][number] = whole
            return StoredPart(number, len(whole), hashlib.sha256(whole).hexdigest())
        finally:
            self.writing -= 1

    async def finish(self, key: str, upload: str, parts: Sequence[StoredPart]) -> None:
        if key not in self.objects:
            written = self.parts.pop(key)
            self.objects[key] = b"".join(written[part.number] for part in parts)

    async def abort(self, key: str, upload: str) -> None:
        self.parts.pop(key, None)

    async def put(self, key: str, data: Chunks, media_type: str) -> None:
        self.objects[key] = b"".join(data)

    async def read(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        if key not in self.objects:
            raise NotFound("no such object")
        end = None if length is None else start + length
        yield self.objects[key][start:end]

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    async def ping(self) -> None:
        pass


class SignedParts:
    """The port `ports.presigning.Presigning` for a store in memory or in a folder.

    `put` does what the store would do with a PUT.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._parts: dict[str, dict[int, StoredPart]] = {}
        self._urls: dict[str, tuple[str, str, int, int]] = {}

    async def part_urls(
        self, key: str, upload: str, sizes: Mapping[int, int], seconds: int
    ) -> Mapping[int, str]:
        urls = {number: f"https://store.example/{key}?part={number}" for number in sizes}
        self._urls |= {urls[one]: (key, upload, one, size) for one, size in sizes.items()}
        return urls

    async def put(self, url: str, data: bytes, *, is_checked: bool = True) -> StoredPart:
        key, upload, number, size = self._urls[url]
        assert len(data) == size or not is_checked
        part = await self._blobs.write(key, upload, number, [data])
        self._parts.setdefault(key, {})[number] = part
        return part

    async def parts(self, key: str, upload: str) -> Sequence[StoredPart]:
        with suppress(NotFound):
            async for _ in self._blobs.read(key):
                raise Conflict("no such upload")
        return [*self._parts.get(key, {}).values()]


class MemoryUploads:
    """What is known of uploads. A lease never expires by itself: see `expire`."""

    def __init__(self) -> None:
        self.uploads: dict[FileId, Upload] = {}
        self.files: dict[FileId, StoredFile] = {}
        self.held: set[FileId] = set()
        self.before_advance: Hook = nothing
        self.before_finish: Hook = nothing
        self.advanced: list[int] = []
        """The offsets that were kept, or kept again as a sign of life."""

    async def create(self, upload: NewUpload, quota: Quota) -> Upload:
        fields = {name: getattr(upload, name) for name in NewUpload.__dataclass_fields__}
        made = self.uploads[upload.file_id] = Upload(**fields, expires_at=1_800_000_000_000)
        return made

    async def find(self, file_id: FileId, owner: Username) -> Upload:
        upload = self.uploads.get(file_id)
        if upload is None or upload.owner != owner:
            raise NotFound("no such upload")
        return upload

    async def take(self, file_id: FileId, owner: Username, *, force: bool) -> Upload:
        upload = await self.find(file_id, owner)
        if upload.state is not FileState.UPLOADING:
            return upload
        if file_id in self.held and not force:
            raise Busy("another request holds this upload")
        self.held.add(file_id)
        taken = self.uploads[file_id] = replace(upload, fence=upload.fence + 1)
        return taken

    def expire(self, file_id: FileId) -> None:
        self.held.discard(file_id)

    async def advance(self, file_id: FileId, fence: int, progress: Progress) -> None:
        await self.before_advance()
        upload = self._fenced(file_id, fence)
        self.advanced.append(progress.offset)
        if progress.offset > upload.progress.offset:
            self.uploads[file_id] = replace(upload, progress=progress)

    async def release(self, file_id: FileId, fence: int) -> None:
        if (upload := self.uploads.get(file_id)) is not None and upload.fence == fence:
            self.held.discard(file_id)

    async def finish(
        self, file_id: FileId, fence: int, facts: FileFacts, state: FileState
    ) -> StoredFile:
        await self.before_finish()
        if file_id not in self.files:
            upload = self._fenced(file_id, fence)
            self.files[file_id] = StoredFile(
                file_id, upload.owner, upload.size, upload.name, upload.key, facts, 0, state
            )
            whole = Progress((StoredPart(1, upload.size, ""),))
            self.uploads[file_id] = replace(upload, state=state, progress=whole)
        return self.files[file_id]

    async def end(self, file_id: FileId, owner: Username) -> None:
        await self.find(file_id, owner)
        del self.uploads[file_id]

    def _fenced(self, file_id: FileId, fence: int) -> Upload:
        upload = self.uploads.get(file_id)
        if upload is None:
            raise NotFound("no such upload")
        if upload.fence != fence:
            raise Fenced("another request has taken this upload")
        return upload


class Body:
    """A body that a test sends piece by piece."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        for piece in pieces:
            self._pieces.put_nowait(piece)

    def send(self, *pieces: bytes) -> "Body":
        for piece in pieces:
            self._pieces.put_nowait(piece)
        return self

    def end(self, error: Exception | None = None) -> "Body":
        self._pieces.put_nowait(error)
        return self

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece
