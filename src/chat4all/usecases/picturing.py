"""Pictures among files: what is known of them, and thumbnails, made when first asked for."""

import logging
import time
from collections.abc import AsyncIterator, Callable

from chat4all.concurrency.keyed import BoundedTurns, Turns
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import NotFound, Unavailable, UnreadablePicture
from chat4all.domain.files import (
    LATE_SECONDS,
    THUMBNAIL_SIZES,
    FileId,
    PictureFacts,
    StoredFile,
    thumbnail_key,
)
from chat4all.domain.ids import Username
from chat4all.ports.blobs import Blobs
from chat4all.ports.pictures import Pictures

THUMBNAIL_TYPE = "image/webp"

KEEP_SECONDS = LATE_SECONDS / 2
"""How long after it was asked for a thumbnail is kept in the store; see `LATE_SECONDS`."""

OF_USER_MAX = 400
"""Thumbnails that are made for one user, one at a time: the others' do not wait behind all of them.
Two devices may show a page of 200 messages with pictures each."""

WAIT_SECONDS = 30.0
"""How long each of them may take, with those before it."""

LOOKING = Backoff(first=0.5, most=2.0, tries=4)
LOOKING_SECONDS = 40.0
"""How long a picture is tried to be looked at again, from when its owner's turn has come. Each try
takes half a minute at most, and an upload waits for it."""

_LOOKED_AT = ("image/avif", "image/gif", "image/jpeg", "image/png", "image/webp")

_NO_THUMBNAIL = "this file has no thumbnail"

_log = logging.getLogger(__name__)


def thumbnail_size(asked: int) -> int:
    """Return the size of the thumbnail for a square of so many pixels."""
    return next((size for size in THUMBNAIL_SIZES if size >= asked), THUMBNAIL_SIZES[-1])


def check_has_thumbnail(file: StoredFile) -> None:
    """Raise `NotFound` for what is known to be no picture."""
    if file.facts.width is None:
        raise NotFound(_NO_THUMBNAIL)


class Picturing:
    """Looks at the pictures in a store of files."""

    def __init__(self, blobs: Blobs, pictures: Pictures) -> None:
        self._blobs = blobs
        self._pictures = pictures
        self._making = Turns[str]()
        self._looking = Turns[Username]()
        what = "thumbnails are being made for you"
        self._of_viewers = BoundedTurns[Username](OF_USER_MAX, WAIT_SECONDS, what)

    async def facts(
        self, file_id: FileId, key: str, media_type: str, owner: Username
    ) -> PictureFacts | None:
        """Return what is known of an object if it is a picture that can be read.

        A file is accepted without them, so a failure is no reason to refuse it. One picture of an
        owner is looked at at a time. They wait without a limit of their own, because one that was
        given up would never have a thumbnail: an owner has only so many uploads at once.
        """
        if media_type not in _LOOKED_AT:
            return None
        try:
            async with self._looking.of(owner):
                # Want of a process, or of a store that answers, says nothing of the picture.
                return await retry(
                    lambda: self._pictures.look(self._blobs.read(key)),
                    LOOKING,
                    seconds=LOOKING_SECONDS,
                )
        except UnreadablePicture:
            return None
        except (NotFound, Unavailable) as error:
            extra = {"file_id": file_id, "user": owner, "cause": str(error)}
            _log.warning("a picture was not looked at", extra=extra)
            return None

    async def thumbnail(
        self,
        file: StoredFile,
        size: int,
        viewer: Username,
        read: Callable[[], AsyncIterator[bytes]],
    ) -> bytes:
        """Return a file's thumbnail of one of the sizes, as WebP.

        `read` yields the file's bytes, as `Downloading.read` does; it is called if there is no
        thumbnail yet. Raises what it raises, `NotFound` for what is no picture that can be read,
        and `Overloaded` when too many are being made for this viewer.
        """
        started = time.monotonic()
        check_has_thumbnail(file)
        key = thumbnail_key(file.file_id, size)
        if (made := await self._made(key)) is not None:
            return made
        # All members of a group ask for a new picture at once; it is made for the first one. Only
        # in their own turn: else they would keep the others waiting for it while they wait.
        async with self._of_viewers.of(viewer), self._making.of(key):
            if (made := await self._made(key)) is not None:
                return made
            try:
                made = await self._pictures.thumbnail(read(), size)
            except UnreadablePicture:
                raise NotFound(_NO_THUMBNAIL) from None
            # The file may be deleted since, and then nobody would delete its thumbnail.
            if time.monotonic() - started < KEEP_SECONDS:
                await self._blobs.put(key, [made], THUMBNAIL_TYPE)
            return made

    async def _made(self, key: str) -> bytes | None:
        try:
            return b"".join([piece async for piece in self._blobs.read(key)])
        except NotFound:
            return None
