"""Collect garbage: delete the bytes of files that nobody needs, twice, then what is known of them.

What a request was writing when the bytes were deleted may arrive later: a part that S3 takes while
its upload is aborted, the tail of an upload, a thumbnail. The second time deletes it.
"""

import random
import time
from collections.abc import Sequence

from chat4all.domain.errors import Unavailable
from chat4all.domain.files import GARBAGE_MAX, GARBAGE_SECONDS, FileId, Garbage
from chat4all.ports.blobs import Blobs
from chat4all.ports.files import Files

ROUNDS_MAX = 20
"""In one run."""


class Collecting:
    """Deletes garbage. What a run that was cut off has left, a later one deletes."""

    def __init__(self, files: Files, blobs: Blobs) -> None:
        self._files = files
        self._blobs = blobs

    async def collect(self) -> int:
        """Delete what there is; return how many files."""
        collected = 0
        for _ in range(ROUNDS_MAX):
            until = time.monotonic() + GARBAGE_SECONDS
            found = await self._files.garbage(GARBAGE_MAX)
            if not found:
                break
            deleted, failed = await self._delete_all(found, until)
            if deleted:
                # In one transaction. What was deleted and is not noted here is given out once more.
                await self._files.forget(deleted)
                collected += len(deleted)
            if failed is not None:
                raise failed
        return collected

    async def _delete_all(
        self, found: Sequence[Garbage], until: float
    ) -> tuple[Sequence[FileId], Unavailable | None]:
        """Return what was deleted until then, by the monotonic clock, and what went wrong."""
        deleted: list[FileId] = []
        failed: Unavailable | None = None
        # In any order: two that cannot be deleted end a run, not always before the same others.
        for garbage in random.sample(found, len(found)):
            if time.monotonic() > until:
                break  # another collector may have the rest by now
            try:
                await self._delete(garbage)
            except Unavailable as error:
                if failed is not None:
                    return deleted, error  # it is the store, and not one object
                failed = error
            else:
                deleted.append(garbage.file_id)
        return deleted, failed

    async def _delete(self, garbage: Garbage) -> None:
        if garbage.store_upload is not None:
            await self._blobs.abort(garbage.keys[0], garbage.store_upload)
        await self._blobs.delete(garbage.keys)
