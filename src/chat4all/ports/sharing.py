"""One object in the store for files of equal content."""

from collections.abc import Sequence
from typing import Protocol

from chat4all.domain.sharing import Candidate


class Sharing(Protocol):
    """Files that are ready, and the objects that they name."""

    async def candidates(self, limit: int) -> Sequence[Candidate]:
        """Return files that wait to be compared, the oldest first. Changes nothing.

        Each with the object of the newest file that was compared and has its SHA-256 and size.
        """
        ...

    async def compared(self, candidate: Candidate, *, joins: bool) -> None:
        """Note that a file was compared, and whether it names the candidate's object from now on.

        If it does, its own object becomes garbage a day later (`domain.files.REPLACED_SECONDS`).
        Nothing changes where the candidate is no longer what `candidates` would return: then the
        file waits on, or is gone.
        """
        ...
