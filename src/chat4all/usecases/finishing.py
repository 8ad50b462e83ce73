"""Make a file of an upload that is whole: its object, its SHA-256, and what it is."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import Conflict, NotFound, Unavailable
from chat4all.domain.files import FileFacts, FileState, StoredFile, Upload, tails_of
from chat4all.domain.media_types import FIRST_BYTES, sniffed
from chat4all.ports.blobs import Blobs
from chat4all.ports.files import Uploads
from chat4all.usecases.giving_up import given_up
from chat4all.usecases.picturing import Picturing
from chat4all.usecases.scanning import Scanning
from chat4all.usecases.writing_parts import new_digest, update

READ_AHEAD = 512 * 1024
"""Bytes that are hashed in one go: of each upload that is being finished, so many are in memory."""

JOINING = Backoff(first=1.0, most=1.0, tries=2)
"""How parts are joined that are not what they were: a request that was overtaken may be joining
them, and the store says of the object that it then has, when asked again, that this is done."""


class Finishing:
    """Makes files of uploads. Doing it again, after it was cut off anywhere, does no harm."""

    def __init__(
        self,
        uploads: Uploads,
        blobs: Blobs,
        picturing: Picturing,
        scanning: Scanning | None = None,
    ) -> None:
        self._uploads = uploads
        self._scanning = scanning
        self._picturing = picturing
        self._blobs = blobs

    async def finish(self, upload: Upload, digest: Any = None) -> StoredFile:
        """Finish an upload that is held and has all its bytes. `digest` is their SHA-256.

        Without it they are read again. Raises `Fenced`, and `Unavailable` when some of them are
        lost: then the upload is given up.
        """
        key = upload.key
        try:
            await self._join(upload)
            if digest is None:
                digest = await self._read_again(key)
            first = b"".join([data async for data in self._blobs.read(key, 0, FIRST_BYTES)])
        except (Conflict, NotFound) as error:
            raise await given_up(self._uploads, upload, str(error)) from error
        facts = FileFacts(digest.hexdigest(), sniffed(first))
        state = FileState.CHECKING
        if self._scanning is None:  # or else it is not decoded before it has been scanned
            state = FileState.READY
            seen = await self._picturing.facts(upload.file_id, key, facts.media_type, upload.owner)
            if seen is not None:
                facts = replace(facts, width=seen.width, height=seen.height, blurhash=seen.blurhash)
        file = await self._uploads.finish(upload.file_id, upload.fence, facts, state)
        with suppress(Unavailable):  # what a killed process has left is deleted with the file
            await self._blobs.delete(tails_of(key, upload.fence))
        return file if self._scanning is None else await self._scanning.soon(file)

    async def _join(self, upload: Upload) -> None:
        await retry(
            lambda: self._blobs.finish(upload.key, upload.store_upload, upload.progress.parts),
            JOINING,
            is_temporary=lambda error: isinstance(error, Conflict),
        )

    async def _read_again(self, key: str) -> Any:
        digest, waiting, size = new_digest(), list[bytes](), 0
        async for data in self._blobs.read(key):
            waiting.append(data)
            size += len(data)
            if size >= READ_AHEAD:
                await update(digest, waiting)
                waiting, size = [], 0
        await update(digest, waiting)
        return digest
