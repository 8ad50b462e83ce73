"""Download files: who may have one, its bytes, and links for what cannot send a token."""

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from chat4all.domain.errors import NotFound, Unavailable
from chat4all.domain.files import FileId, StoredFile
from chat4all.domain.ids import Username
from chat4all.domain.scanning import check_ready
from chat4all.ports.blobs import Blobs
from chat4all.ports.files import Files
from chat4all.ports.security import FileLinks

LINK_SECONDS = 15 * 60
"""How long a link may be used. Whether its user may have the file is asked each time."""

PUBLIC_DAMAGED = "this file was damaged in the store of files"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileLink:
    """A link for one user to one file. `expires_at` in seconds since 1970."""

    token: str
    expires_at: int


class Downloading:
    """Gives files to those who may have them."""

    def __init__(self, files: Files, blobs: Blobs, links: FileLinks) -> None:
        self._files = files
        self._blobs = blobs
        self._links = links

    async def find(self, file_id: FileId, viewer: Username) -> StoredFile:
        """Return a file that may be read. Raises `NotFound`, as `ports.files.Files.find`.

        Raises `BeingChecked` while it is held back, `Conflict` if it was refused.
        """
        file = await self._files.find(file_id, viewer)
        check_ready(file)
        return file

    async def read(
        self, file: StoredFile, viewer: Username, start: int, length: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield a file's bytes; see `ports.blobs.Blobs.read`.

        When its object is deleted because it shares another one by now, that one is read on, if
        the viewer may still have the file. Raises `Unavailable` for a file whose bytes are lost.
        """
        given = 0
        try:
            async with _closing(self._blobs.read(file.key, start, length)) as pieces:
                async for piece in pieces:
                    given += len(piece)
                    yield piece
        except NotFound as error:
            now = await self._files.find(file.file_id, viewer)
            if now.key == file.key:
                raise _lost(file) from error
        else:
            _check_whole(file, given, length)
            return
        try:
            rest = self._blobs.read(now.key, start + given, length - given)
            async with _closing(rest) as pieces:
                async for piece in pieces:
                    given += len(piece)
                    yield piece
        except NotFound as error:
            await self._files.find(file.file_id, viewer)  # deleted by now?
            raise _lost(file) from error
        _check_whole(file, given, length)

    async def link(self, file_id: FileId, viewer: Username) -> FileLink:
        """Return a link to a file that its viewer may have."""
        await self.find(file_id, viewer)
        until = int(time.time()) + LINK_SECONDS
        return FileLink(self._links.issue_link(file_id, viewer, until), until)

    def viewer_of(self, link: str, file_id: FileId) -> Username:
        """Return whose link to this file it is. Raises `NotSignedIn`."""
        return self._links.read_link(link, file_id, int(time.time()))


def _lost(file: StoredFile, cause: str = "an object is not in the store of files") -> Unavailable:
    """Return what to raise for a file that is known and whose bytes are not there; log it."""
    extra = {"file_id": file.file_id, "cause": cause}
    _log.error("the bytes of a file are lost", extra=extra)
    return Unavailable(cause, PUBLIC_DAMAGED)


def _check_whole(file: StoredFile, given: int, length: int) -> None:
    if given < length:
        raise _lost(file, "an object has fewer bytes than it had")


def _closing(pieces: AsyncIterator[bytes]) -> "aclosing[AsyncGenerator[bytes, None]]":
    return aclosing(cast("AsyncGenerator[bytes, None]", pieces))
