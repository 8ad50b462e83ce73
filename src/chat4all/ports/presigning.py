"""Uploads whose parts their owner sends straight to the store, by URLs that are signed for it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chat4all.domain.files import StoredPart


class Presigning(Protocol):
    """What a store of `ports.blobs.Blobs` can do besides, for uploads that were begun there.

    Every method may raise `Unavailable`.
    """

    async def part_urls(
        self, key: str, upload: str, sizes: Mapping[int, int], seconds: int
    ) -> Mapping[int, str]:
        """Return a URL for each part, by number, to which its bytes can be sent with PUT.

        Each takes as many bytes as `sizes` says, no more and no fewer, and works for `seconds`; the
        answer to it has the part's `ETag`. The same part again replaces it.
        """
        ...

    async def parts(self, key: str, upload: str) -> Sequence[StoredPart]:
        """Return the parts that the store has, by number.

        Raises `Conflict` where there is no such upload (any more).
        """
        ...
