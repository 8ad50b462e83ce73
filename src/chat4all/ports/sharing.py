"""One object in the store for files of equal content."""

from typing import Protocol


class Sharing(Protocol):
    """Files that are ready, and the objects that they name."""

    async def share(self, limit: int) -> int:
        """Compare so many files at most, the oldest first, and return how many were compared.

        One that has the SHA-256 and size of a file that was compared before names its object from
        now on. Its own one becomes garbage a day later (`domain.files.REPLACED_SECONDS`).
        """
        ...
