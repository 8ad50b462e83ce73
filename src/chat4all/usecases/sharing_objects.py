"""Let files of equal content share one object, some time after their uploads."""

from chat4all.ports.sharing import Sharing

AT_ONCE = 20
"""Files that are compared in one go."""

ROUNDS_MAX = 50
"""In one run."""


class SharingObjects:
    """Compares files. What a run that was cut off has left, a later one compares.

    Never in a request: how long an answer takes must not tell that somebody else has the file.
    """

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing

    async def share(self) -> None:
        """Compare the files that wait for it."""
        for _ in range(ROUNDS_MAX):
            if await self._sharing.share(AT_ONCE) < AT_ONCE:
                break
