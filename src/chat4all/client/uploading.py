"""Upload a file by tus: what the server has acknowledged is never sent again."""

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias
from urllib.parse import urlsplit

from chat4all.client.calling import Call, Caller
from chat4all.client.errors import (
    Conflict,
    Defect,
    NotFound,
    Unavailable,
    as_kind,
)
from chat4all.client.keeping import UploadsFile
from chat4all.client.timing import QUEUE_SECONDS, Pace, Standstill, file_timeout

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes that are done, and all there are."""

REQUEST_BYTES = 64 * 1024 * 1024
"""Of one PATCH: after a break, HEAD says what of it was kept."""

PIECE_BYTES = 256 * 1024

CHECKED_BYTES = 8_000_000
"""A second, at the least: the last answer comes once the server has checked the whole file."""

FILES_PATH: Final = "/v1/files"

_TUS: Final = {"Tus-Resumable": "1.0.0"}


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine, as it was when it was looked at."""

    path: Path
    size: int
    changed_ns: int

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> "LocalFile":
        """Return the file at a path. Raises `OSError`."""
        absolute = Path(path).resolve()
        with absolute.open("rb") as file:  # a folder is refused here
            found = os.fstat(file.fileno())
        return cls(absolute, found.st_size, found.st_mtime_ns)

    def key_at(self, url: str) -> str:
        """Return what this file's upload to a server is kept under."""
        return f"{url} {self.path} {self.size} {self.changed_ns}"


class Uploading:
    """Uploads files for a client."""

    def __init__(self, caller: Caller, pace: Pace) -> None:
        self._caller = caller
        self._pace = pace

    async def upload(
        self,
        local: LocalFile,
        name: str,
        uploads: UploadsFile | None,
        on_progress: OnProgress,
    ) -> str:
        """Return the file's id once the server has all of it.

        It resumes after breaks for as long as something is added within the client's time-out. An
        upload that is gone meanwhile is begun anew, once.
        """
        try:
            with suppress(NotFound):  # it has expired, or the server has lost some of it
                return await self._upload(local, name, uploads, on_progress)
            return await self._upload(local, name, uploads, on_progress)
        except Unavailable as error:
            # Bytes alone: no message was tried, so there is no outcome that is unknown.
            raise as_kind(Unavailable, error) from None

    async def forget(self, local: LocalFile, uploads: UploadsFile | None) -> None:
        """Forget an upload that nobody goes on with; it is done, even if that cannot be noted."""
        if uploads:
            with suppress(OSError, ValueError):
                await uploads.keep(local.key_at(self._caller.url), None)

    async def _upload(
        self,
        local: LocalFile,
        name: str,
        uploads: UploadsFile | None,
        on_progress: OnProgress,
    ) -> str:
        key = local.key_at(self._caller.url)
        address = await uploads.find(key) if uploads else None
        offset = await self._kept_offset(address, local.size) if address else None
        if address is None or offset is None:
            address, offset = await self._begin(local.size, name), 0
            if uploads:
                await uploads.keep(key, address)
        file = await asyncio.to_thread(local.path.open, "rb")
        try:
            await self._add(address, file, local, offset, on_progress)
        finally:
            await asyncio.to_thread(file.close)
        return address.rpartition("/")[2]

    async def _begin(self, size: int, name: str) -> str:
        encoded = base64.b64encode(name.encode()).decode()
        headers = {"Upload-Length": str(size), "Upload-Metadata": f"filename {encoded}"}
        # A repetition begins another one: the server deletes what nothing is added to.
        answer = await self._caller.response(Call("POST", FILES_PATH, headers=_TUS | headers))
        path = urlsplit(answer.headers.get("Location", "")).path
        if not path.startswith(FILES_PATH + "/"):
            raise Defect("the server does not say where the upload is")
        return path

    async def _kept_offset(self, address: str, size: int) -> int | None:
        """Return how far an earlier run's upload is; None where it is gone."""
        try:
            return await self._offset(address, size)
        except NotFound:
            return None

    async def _offset(self, address: str, size: int) -> int:
        # The server finishes an upload that was cut off at its end before it answers.
        more_seconds = size / CHECKED_BYTES
        timeout = file_timeout(more_seconds)
        call = Call("HEAD", address, headers=_TUS, timeout=timeout, queue_seconds=QUEUE_SECONDS)
        delays, since = self._pace.delays(), time.monotonic()
        while True:
            try:
                answer = await self._caller.response(call, more_seconds=more_seconds)
                break
            except Conflict:  # another request has taken the upload over
                if time.monotonic() - since > self._caller.seconds + more_seconds:
                    raise
                await asyncio.sleep(next(delays))
        said = answer.headers.get("Upload-Offset", "")
        if not said.isdecimal():
            raise Defect("the server does not say how far the upload is")
        return int(said)

    async def _add(
        self, address: str, file: BinaryIO, local: LocalFile, offset: int, progress: OnProgress
    ) -> None:
        standstill = Standstill(self._pace)
        progress(offset, local.size)
        while offset < local.size:
            error: Conflict | Unavailable | None = None
            asked, began = 0.0, time.monotonic()
            try:
                reached = await self._patch(address, file, local, offset, progress)
            except Conflict as conflict:  # another offset than we believe
                error = conflict
            except Unavailable as unavailable:
                error = unavailable
                asked = unavailable.retry_after or 0.0
            if error is not None:
                standstill.tried(began)
                if self._pace.of(asked) > self._caller.seconds:
                    raise error
                await asyncio.sleep(self._pace.of(asked) + next(standstill.delays))
                reached = await self._offset(address, local.size)
            if reached > offset:
                standstill.end()
            elif error is not None and standstill.seconds() > self._caller.seconds:
                raise error
            offset = reached
            progress(offset, local.size)

    async def _patch(
        self, address: str, file: BinaryIO, local: LocalFile, offset: int, progress: OnProgress
    ) -> int:
        """Add some bytes; return how far the upload is then."""
        size = min(REQUEST_BYTES, local.size - offset)

        async def pieces() -> AsyncIterator[bytes]:
            given = 0
            await asyncio.to_thread(file.seek, offset)
            while given < size:
                piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, size - given))
                if not piece:
                    raise ValueError(f"{local.path} was changed while it was uploaded")
                yield piece
                given += len(piece)
                progress(offset + given, local.size)

        headers = {
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(size),
        }
        is_last = offset + size == local.size
        timeout = file_timeout((local.size if is_last else size) / CHECKED_BYTES)
        call = Call("PATCH", address, headers=_TUS | headers, content=pieces, timeout=timeout)
        said = (await self._caller.attempt(call)).headers.get("Upload-Offset", "")
        if not said.isdecimal() or int(said) <= offset:
            raise Defect("the server does not say how far the upload is")
        if local.path.stat().st_mtime_ns != local.changed_ns:
            raise ValueError(f"{local.path} was changed while it was uploaded")
        return int(said)
