"""Collect garbage: delete the bytes of files that nobody needs, twice, then what is known of them.

What a request was writing when the bytes were deleted may arrive later: a part that S3 takes while
its upload is aborted, the tail of an upload, a thumbnail. The second time deletes it.
"""

import random

from chat4all.domain.errors import Unavailable
from chat4all.domain.files import GARBAGE_MAX, Garbage
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
            found = await self._files.garbage(GARBAGE_MAX)
            failed: Unavailable | None = None
            # In any order: two that cannot be deleted end a run, not always before the same others.
            for garbage in random.sample(found, len(found)):
                try:
                    await self._delete(garbage)
                    await self._files.forget([garbage.file_id])
                except Unavailable as error:
                    if failed is not None:
                        raise  # it is the store, and not one object
                    failed = error
                else:
                    collected += 1
            if failed is not None:
                raise failed
            if not found:
                break
        return collected

    async def _delete(self, garbage: Garbage) -> None:
        if garbage.store_upload is not None:
            await self._blobs.abort(garbage.keys[0], garbage.store_upload)
        await self._blobs.delete(garbage.keys)
