"""Scanning: what looks for malware in a file, and which files wait for it."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from chat4all.domain.files import FileId, StoredFile
from chat4all.domain.ids import Username
from chat4all.domain.scanning import Verdict


class Scanner(Protocol):
    """Looks for malware. Every method may raise `Unavailable`."""

    async def scan(self, content: AsyncIterator[bytes]) -> str | None:
        """Return the name of what was found, None for a clean file.

        Raises `TooLarge` for more bytes than it takes. `content` need not be read to its end.
        """
        ...

    async def ping(self) -> None:
        """Return when it can scan."""
        ...


class Scans(Protocol):
    """Files that are held back until they are scanned; kept where all files are."""

    async def take(self, limit: int, but_of: Collection[Username] = ()) -> Sequence[StoredFile]:
        """Return files to scan, the longest waiting first: nobody else gets them for a minute.

        Files of the owners `but_of` go on waiting. A file that has just become whole counts as
        taken by the process that finished it.
        """
        ...

    async def waiting(self) -> int:
        """Return how many files are held back, those included that are being scanned."""
        ...

    async def renew(self, file_id: FileId) -> None:
        """Keep a file that is being scanned from others for another minute."""
        ...

    async def settle(self, file_id: FileId, verdict: Verdict) -> StoredFile | None:
        """Release a file, or refuse it; return it as it is now, None if it is gone.

        Of several verdicts the first one counts. A refusal is in the audit.
        """
        ...
