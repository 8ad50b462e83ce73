"""Where the bytes of files are: a folder, or an S3-compatible store."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from chat4all.domain.files import StoredPart

Chunks = Sequence[bytes]
"""Bytes in pieces, as they came: joining them would copy them."""


class Blobs(Protocol):
    """Objects of bytes by key, in parts or in one go; what is whole never changes.

    Every method may raise `Unavailable` (also `OutOfSpace`); `read` raises `NotFound`. A `key` is
    of letters, digits, `-`, `/` and `.`.
    """

    async def begin(self, key: str, media_type: str) -> str:
        """Begin an upload, and return what the store calls it."""
        ...

    async def write(self, key: str, upload: str, number: int, data: Chunks) -> StoredPart:
        """Write a part, and return it once it is durable; the same number again replaces it.

        Numbers are 1 to 10,000; some may be left out. Several parts of an upload may be
        written at once. Raises `Conflict` where there is no such upload (any more).
        """
        ...

    async def finish(self, key: str, upload: str, parts: Sequence[StoredPart]) -> None:
        """Make the object of these parts, in this order, and of no others; none: an empty one.

        Their numbers grow; in an S3 store all but the last have 5 MiB at least. Doing it again
        does nothing. Raises `Conflict` if a part is not what its `etag` says, and where there is
        no such upload.
        """
        ...

    async def abort(self, key: str, upload: str) -> None:
        """Drop an upload's parts; nothing where there is no such upload."""
        ...

    async def put(self, key: str, data: Chunks, media_type: str) -> None:
        """Write a small object in one go: durable when this returns."""
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield an object's bytes from `start` on, in pieces of at most 256 KiB.

        Nothing from its end on. Raises `NotFound` at the first piece, or where it is deleted
        meanwhile.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there count as deleted."""
        ...

    async def ping(self) -> None:
        """Return when the store can answer."""
        ...
