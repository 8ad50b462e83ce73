"""Let files of equal content share one object, some time after their uploads."""

from chat4all.domain.errors import NotFound, Unavailable
from chat4all.domain.sharing import Candidate
from chat4all.ports.blobs import Blobs
from chat4all.ports.sharing import Sharing

AT_ONCE = 20
"""Files that are asked for in one go."""

ROUNDS_MAX = 50
"""In one run."""


class SharingObjects:
    """Compares files. What a run that was cut off has left, a later one compares.

    Never in a request: how long an answer takes must not tell that somebody else has the file.
    """

    def __init__(self, sharing: Sharing, blobs: Blobs) -> None:
        self._sharing = sharing
        self._blobs = blobs

    async def share(self) -> None:
        """Compare the files that wait for it. Raises `Unavailable`, also of the store."""
        for _ in range(ROUNDS_MAX):
            candidates = await self._sharing.candidates(AT_ONCE)
            for one in candidates:
                await self._sharing.compared(one, joins=await self._is_there(one))
            if not candidates:
                break

    async def _is_there(self, candidate: Candidate) -> bool:
        """Say whether the store has the object that a file may come to share, to its last byte.

        It may be lost, after a restore for example, while what is known of its file is not.
        """
        if candidate.key is None:
            return False
        try:
            last = self._blobs.read(candidate.key, candidate.size - 1, 2)
            return sum([len(piece) async for piece in last]) == 1
        except NotFound:
            return False
        except Unavailable:
            await self._blobs.ping()  # without the store the run ends
            return False  # this one object cannot be read: what joined it would be lost
