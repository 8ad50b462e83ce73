"""The store and the database of a small installation, stopped and broken at named steps."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chat4all.adapters.embedded import FolderBlobs
from chat4all.adapters.sql import SqlFiles, SqlUploads, SqlUsers
from chat4all.adapters.sql.transactions import Transactions
from chat4all.concurrency.pacing import Pace
from chat4all.domain.errors import Conflict, NotFound
from chat4all.domain.files import (
    UPLOAD_RATE,
    FileFacts,
    FileId,
    FileLimits,
    FileState,
    Progress,
    Quota,
    StoredFile,
    StoredPart,
    Upload,
)
from chat4all.domain.ids import Username
from chat4all.ports.blobs import Blobs, Chunks
from chat4all.usecases.finishing import Finishing
from chat4all.usecases.picturing import Picturing
from chat4all.usecases.uploading import Uploading
from tests.attached import FakePictures
from tests.contract.test_directory import ANA, BRUNO, user
from tests.databases import place_at

Hook = Callable[[], Coroutine[Any, Any, None]]


@dataclass
class Steps:
    """The named steps of uploading. `before` one of them, something is awaited."""

    before: dict[str, Hook] = field(default_factory=dict)
    begun: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    under_way: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    """How many were under way at once, at most."""

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        self.begun[name] += 1
        self.under_way[name] += 1
        self.most[name] = max(self.most[name], self.under_way[name])
        try:
            if (hook := self.before.get(name)) is not None:
                await hook()
            yield
            self.done[name] += 1
        finally:
            self.under_way[name] -= 1

    async def until_begun(self, name: str, times: int = 1) -> None:
        await until(lambda: self.begun[name] >= times)

    async def until_done(self, name: str, times: int = 1) -> None:
        await until(lambda: self.done[name] >= times)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.001)


class SteppedBlobs(FolderBlobs):
    """A folder of files. Its steps are `write` and `put`."""

    def __init__(self, folder: Path, steps: Steps) -> None:
        super().__init__(folder)
        self._steps = steps

    async def write(self, key: str, upload: str, number: int, data: Chunks) -> StoredPart:
        async with self._steps.step("write"):
            return await super().write(key, upload, number, data)

    async def put(self, key: str, data: Chunks, media_type: str) -> None:
        async with self._steps.step("put"):
            await super().put(key, data, media_type)


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


class SteppedUploads(SqlUploads):
    """Uploads in a database. Its steps are `find`, `take`, `advance` and `finish`."""

    def __init__(self, database: Transactions, steps: Steps) -> None:
        super().__init__(database)
        self._steps = steps
        self.advanced: list[int] = []
        """The offsets that were kept, or kept again as a sign of life."""

    async def find(self, file_id: FileId, owner: Username) -> Upload:
        async with self._steps.step("find"):
            return await super().find(file_id, owner)

    async def take(self, file_id: FileId, owner: Username, *, force: bool) -> Upload:
        async with self._steps.step("take"):
            return await super().take(file_id, owner, force=force)

    async def advance(self, file_id: FileId, fence: int, progress: Progress) -> None:
        async with self._steps.step("advance"):
            await super().advance(file_id, fence, progress)
            self.advanced.append(progress.offset)

    async def finish(
        self, file_id: FileId, fence: int, facts: FileFacts, state: FileState
    ) -> StoredFile:
        async with self._steps.step("finish"):
            return await super().finish(file_id, fence, facts, state)


@dataclass
class World:
    """What gateways have in common, and how far they are."""

    folder: Path
    steps: Steps
    blobs: SteppedBlobs
    uploads: SteppedUploads
    files: SqlFiles

    async def content(self, file_id: FileId) -> bytes:
        key = (await self.file(file_id)).key
        return b"".join([piece async for piece in self.blobs.read(key)])

    async def file(self, file_id: FileId) -> StoredFile:
        return await self.files.find(file_id, ANA)

    async def fence(self, file_id: FileId) -> int:
        return (await self.uploads.find(file_id, ANA)).fence

    def gateway(self, limits: FileLimits | None = None, pace: Pace | None = None) -> Uploading:
        finishing = Finishing(self.uploads, self.blobs, Picturing(self.blobs, FakePictures()))
        return Uploading(
            self.uploads,
            self.blobs,
            finishing,
            limits or FileLimits(),
            Quota(),
            pace or Pace(UPLOAD_RATE),
        )

    def stored(self, pattern: str = "*") -> Sequence[Path]:
        return [path for path in self.folder.rglob(pattern) if path.is_file()]


@asynccontextmanager
async def world_in(folder: Path) -> AsyncIterator[World]:
    """Open the store and the database of files in a folder, with two users."""
    steps = Steps()
    async with place_at(folder / "metadata.db") as place:
        for name in (ANA, BRUNO):
            await SqlUsers(place.database).add_user(user(name), b"")
        blobs = SteppedBlobs(folder / "files", steps)
        await blobs.open()
        uploads = SteppedUploads(place.database, steps)
        try:
            yield World(folder / "files", steps, blobs, uploads, SqlFiles(place.database))
        finally:
            await blobs.close()


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


async def until_read(body: Body) -> None:
    """Return when all there is of a body has been read."""
    await until(body._pieces.empty)
    await asyncio.sleep(0)


async def being_added(
    gateway: Uploading, file_id: FileId, body: Body
) -> "asyncio.Task[Upload | StoredFile]":
    """Add a body of Ana's from the beginning on; return when all there is of it has been read."""
    adding = asyncio.create_task(gateway.append(ANA, file_id, 0, aiter(body)))
    await until_read(body)
    return adding
