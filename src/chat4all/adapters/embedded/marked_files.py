"""The marker in the folder of files: which installation it is of (EXACTNESS 21).

The folder may be on a disk of its own. Where that is not mounted, an empty folder is in its place,
and what was uploaded there would be hidden by the disk when it comes back.
"""

import re
from pathlib import Path

from chat4all.adapters.installation import MARKER
from chat4all.adapters.private_files import write_private

OBJECTS = re.compile("[0-9a-f]{2}")
"""The folders that objects are in."""


def files_trouble(folder: Path, installation_id: str, *, has_files: bool) -> str | None:
    """Say why a folder is not that with an installation's files; None: it is, or may become it.

    `has_files`: the directory knows some. An earlier release has marked no folder, so one with
    objects needs no marker yet. Changes nothing. `OSError` for what cannot be read.
    """
    found = marker_in(folder)
    if found == installation_id:
        return None
    if found is not None:
        return (
            f"the folder {folder} has the files of another installation: put back its own (or "
            "mount their disk), or move it away to begin with none"
        )
    if not has_files or (folder.is_dir() and _has_objects(folder)):
        return None
    what = "lacks" if folder.is_dir() else "is missing, with"
    return (
        f"the folder {folder} {what} what users have uploaded: mount its disk, or put it back from "
        f"a backup; to go on without these files, copy {folder.parent / MARKER} into an empty one"
    )


def mark_files(folder: Path, installation_id: str) -> None:
    """Write the marker into a folder that has no trouble, once."""
    if marker_in(folder) is None:
        write_private(folder / MARKER, f"{installation_id}\n".encode())


def marker_in(folder: Path) -> str | None:
    """Return which installation a folder of files is of; None where it does not say."""
    try:
        words = (folder / MARKER).read_text(errors="replace").split()
    except FileNotFoundError:
        return None
    return words[0] if words else None


def _has_objects(folder: Path) -> bool:
    return any(OBJECTS.fullmatch(path.name) for path in folder.iterdir())
