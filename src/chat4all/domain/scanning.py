"""Scanning of files: what is handed out to be scanned, and what is found."""

from dataclasses import dataclass

from chat4all.domain.errors import BeingChecked, Conflict
from chat4all.domain.files import FileState, PictureFacts, StoredFile

SCAN_LEASE_SECONDS = 60
"""How long a file that one gateway scans is not given to another, after its last sign of life."""

UNSCANNED_SECONDS = 7 * 24 * 3600
"""How long a file that could not be scanned is kept."""

FOUND_MAX = 120
"""Characters of the name of what was found."""

TOO_LARGE = "larger than the scanner takes"
"""What is noted of a file that was not scanned for its size."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scan has found: the name of it, or None for a clean file.

    What there is to know of a clean picture is found after the scan, and comes with it.
    """

    found: str | None = None
    picture: PictureFacts | None = None


def check_ready(file: StoredFile) -> None:
    """Raise `BeingChecked` for a file that is held back, `Conflict` for one that was refused."""
    if file.state is FileState.CHECKING:
        raise BeingChecked("this file is being checked: try again in a while")
    if file.state is not FileState.READY:
        raise Conflict("this file was refused when it was checked: upload another one")
