"""The bytes of files in a folder of one machine."""

import asyncio
import errno
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from chat4all.adapters.embedded.marked_files import files_trouble, mark_files, marker_in
from chat4all.adapters.embedded.object_files import (
    extents_of,
    finish,
    leftovers_of,
    make_folder,
    place_of,
    put_file,
    read_piece,
    remove,
    upload_folder,
    write_part,
)
from chat4all.adapters.file_store import PIECE, PUBLIC, PUBLIC_FULL
from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.private_files import make_private_folder
from chat4all.concurrency.background_threads import background_threads
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import Conflict, NotFound, OutOfSpace, StartRefused, Unavailable
from chat4all.domain.files import StoredPart
from chat4all.ports.blobs import Chunks

T = TypeVar("T")

THREADS = 4
"""Calls that write at a time, and as many that read."""

WAITING_MAX = 256
"""Calls that may wait for a thread; one more is refused at once."""

SECONDS = 60.0
"""How long a call may take: a disk that is busy with much else writes a part in a few."""

RESERVED_BYTES = 256 * 1024 * 1024
"""Of the disk, which files leave to messages: a file that is too much can be deleted then."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


class FolderBlobs:
    """The port `ports.blobs.Blobs` on a folder that belongs to this process alone.

    Open it before use. What a call began in a thread goes on to its end if the caller does not
    wait any longer; a part that nobody names is dropped with its upload.
    """

    def __init__(
        self, folder: Path, *, reserve: int = 0, installation_id: str | None = None
    ) -> None:
        self._folder = folder
        self._installation_id = installation_id
        """Whose files these are, which a marker in the folder says; None: it has no marker."""
        self._reserve = reserve
        """Bytes of the disk that are left to messages."""
        # A copy that is put in the folder's place is known by its marker.
        self._present = (
            PresentFiles() if installation_id is None else PresentFiles(identity=_marker)
        )
        self._writers = background_threads(THREADS, "files-writer")
        self._readers = background_threads(THREADS, "files-reader")
        what = f"calls wait for the folder {folder.name}"
        self._writing = BoundedWaiting(WAITING_MAX, SECONDS, what)
        self._reading = BoundedWaiting(WAITING_MAX, SECONDS, what)

    async def open(self, *, has_files: bool = False) -> None:
        """Make the folder where there is none, unless files are known to be in it.

        Raises `StartRefused`, also for a folder that is not the one with them.
        """

        def make() -> None:
            whose = self._installation_id
            if whose and (trouble := files_trouble(self._folder, whose, has_files=has_files)):
                raise StartRefused(trouble)
            make_private_folder(self._folder)
            if whose:
                mark_files(self._folder, whose)
            self._present.watch([self._folder])

        try:
            await self._write(make)
        except Unavailable as error:
            raise StartRefused(f"{error}, or name another folder with --data") from error

    async def close(self) -> None:
        """Finish the calls that have begun."""
        for threads in (self._writers, self._readers):
            await asyncio.to_thread(threads.shutdown)

    async def begin(self, key: str, media_type: str) -> str:  # noqa: ARG002 - kept in SQL
        """Make the upload's folder; see `ports.blobs.Blobs`."""
        target, upload = self._path(key), secrets.token_hex(16)

        def make() -> None:
            self._check_room()
            self._make_shard(target)
            make_folder(upload_folder(target, upload))

        await self._write(make)
        return upload

    async def write(self, key: str, upload: str, number: int, data: Chunks) -> StoredPart:
        """Write a part to a new file; see `ports.blobs.Blobs`."""
        folder = upload_folder(self._path(key), upload)

        def write() -> StoredPart:
            self._check_room()
            return write_part(folder, number, data)

        return await self._write(write)

    async def finish(self, key: str, upload: str, parts: Sequence[StoredPart]) -> None:
        """Give the parts the object's name; see `ports.blobs.Blobs`."""
        await self._write(finish, self._path(key), upload, parts)

    async def abort(self, key: str, upload: str) -> None:
        """Remove the upload's folder; see `ports.blobs.Blobs`."""
        await self._write(remove, [upload_folder(self._path(key), upload)])

    async def put(self, key: str, data: Chunks, media_type: str) -> None:  # noqa: ARG002
        """Write one file; see `ports.blobs.Blobs`."""
        target = self._path(key)

        def put() -> None:
            self._check_room()
            self._make_shard(target)
            put_file(target, data)

        await self._write(put)

    async def read(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """Read in threads; see `ports.blobs.Blobs`."""
        extents = await self._read(extents_of, self._path(key))
        skipped, left = start, sum(extent.size for extent in extents) - start
        if length is not None:
            left = min(left, length)
        for path, size in extents:
            while skipped < size and left > 0:
                piece = await self._read(
                    read_piece, path, skipped, min(PIECE, size - skipped, left)
                )
                yield piece
                skipped += len(piece)
                left -= len(piece)
            skipped -= size

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; see `ports.blobs.Blobs`."""

        def delete() -> None:
            for path in map(self._path, keys):
                remove([path, *leftovers_of(path)])

        await self._write(delete)

    async def ping(self) -> None:
        """Return while the folder is there and its disk answers."""
        await self._read(lambda: self._present.check(at_once=True))

    def _path(self, key: str) -> Path:
        return place_of(self._folder, key)

    def _check_room(self) -> None:
        if self._reserve and shutil.disk_usage(self._folder).free < self._reserve:
            raise OSError(errno.ENOSPC, "the rest of the disk is for messages")

    def _make_shard(self, target: Path) -> None:
        """Make the two folders above an object; the folder of files itself is never made anew."""
        make_folder(target.parent.parent)
        make_folder(target.parent)

    async def _write(self, work: Callable[..., T], *arguments: object) -> T:
        return await self._in_thread(self._writing, self._writers, work, *arguments)

    async def _read(self, work: Callable[..., T], *arguments: object) -> T:
        return await self._in_thread(self._reading, self._readers, work, *arguments)

    async def _in_thread(
        self,
        waiting: BoundedWaiting,
        threads: ThreadPoolExecutor,
        work: Callable[..., T],
        *arguments: object,
    ) -> T:
        try:
            return await waiting.in_thread(threads, self._explained, work, *arguments)
        except TimeoutError as error:
            raise Unavailable(
                f"the folder of files {self._folder} does not answer: see to its disk", PUBLIC
            ) from error

    def _explained(self, work: Callable[..., T], *arguments: object) -> T:
        """Do the work, with one sentence for what the disk says. Runs in a thread."""
        self._present.check()
        try:
            return work(*arguments)
        except (Conflict, NotFound):
            self._present.check(at_once=True)  # is one object missing, or the whole folder?
            raise
        except OSError as error:
            if error.errno in _FULL:
                raise OutOfSpace(
                    f"the disk of the folder of files {self._folder} is full: free some space",
                    PUBLIC_FULL,
                ) from error
            self._present.check(at_once=True)
            raise Unavailable(
                f"the folder of files {self._folder} cannot be used ({error.strerror}): make it "
                "readable and writable, or see to its disk",
                PUBLIC,
            ) from error


def _marker(folder: Path) -> str | None:
    """Return what a folder of files is known by; `FileNotFoundError` where there is none."""
    folder.stat()
    return marker_in(folder)
