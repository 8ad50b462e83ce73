"""Which installation the files of a folder are of (EXACTNESS 21).

One random id is in every database and in a marker file beside them. Neither paths nor inodes count:
folders are moved, copied and restored. A new or an upgraded folder gets the id in three steps, each
durable: a marker that says "not complete yet", the id in each database, the final marker. Wherever
that is cut off, the next start continues.
"""

import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.private_files import rename_durably, write_private
from chat4all.adapters.sqlite_files import beside, read_only, read_write
from chat4all.domain.errors import StartRefused

MARKER = "installation"
"""The marker's name in a data folder."""

TABLE = """
CREATE TABLE IF NOT EXISTS installation (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    installation_id TEXT NOT NULL
)
"""
"""The table of the embedded databases; the directory has the same by its own migrations."""

_NEW, _UPGRADED = "new", "upgraded"

_WHAT_TO_DO = (
    "restore the whole folder from a backup (`chat4all restore`), or, to start anew without its "
    "data, move all of it away"
)


@dataclass(frozen=True, slots=True)
class Installation:
    """What belongs together: some databases in one folder, and their marker.

    `is_new`: nobody was served from it yet. `is_complete`: all have the id.
    """

    marker: Path
    databases: Sequence[Path]
    installation_id: str
    is_new: bool
    is_complete: bool

    def complete(self) -> None:
        """Write the id into every database, which has its tables by now, then the marker."""
        if self.is_complete:
            return
        for path in self.databases:
            with closing(read_write(path, PresentFiles())) as db:
                db.execute("PRAGMA busy_timeout = 5000")
                db.execute("PRAGMA synchronous = FULL")
                db.execute(
                    "INSERT INTO installation VALUES (1, ?) ON CONFLICT DO NOTHING",
                    (self.installation_id,),
                )
        rename_durably(_incomplete(self.marker), self.marker)


def marker_of(database: Path) -> Path:
    """Return the marker of a database that is an installation of its own."""
    return database.with_name(f"{database.name}.{MARKER}")


def private_files_of(database: Path) -> Sequence[Path]:
    """Return the files of such a database that exist, which only its owner may read."""
    return [path for path in (database, *beside(database), marker_of(database)) if path.exists()]


def begin(marker: Path, databases: Sequence[Path]) -> Installation:
    """Return the installation whose files these are; a new one, or one of before ids, is given one.

    The caller holds the folder, creates and upgrades the databases, and calls `complete` before it
    serves anybody. Raises `StartRefused` when a part is missing or of another installation.
    """
    try:
        found = look(marker, databases)
        if not found.is_complete and not _incomplete(marker).exists():
            kind = _NEW if found.is_new else _UPGRADED
            write_private(_incomplete(marker), f"{found.installation_id} {kind}\n".encode())
    except OSError as error:
        raise StartRefused(f"{marker.parent} cannot be written ({error.strerror})") from error
    return found


def look(marker: Path, databases: Sequence[Path], *, in_use: bool = True) -> Installation:
    """Return the installation without changing anything; see `begin`. `in_use`: as `read_only`."""
    ids = {path.name: _id_in(path, in_use) for path in databases if path.exists()}
    missing = [path.name for path in databases if path.name not in ids]
    kind: str | None
    if marker.exists():
        installation_id, kind = _read(marker)[0], None
    elif _incomplete(marker).exists():
        installation_id, kind = _read(_incomplete(marker))
    elif any(ids.values()):
        raise StartRefused(_missing(marker, [marker.name]))
    else:
        # No part has an id: there is nothing yet, or an earlier release made all of it.
        installation_id, kind = str(uuid.uuid4()), _UPGRADED if ids else _NEW
    if missing and kind != _NEW:
        raise StartRefused(_missing(marker, missing))
    for name, found in ids.items():
        if found != installation_id and (found is not None or kind is None):
            raise StartRefused(
                f"{name} in {marker.parent} is of another installation than the files beside it: "
                f"{_WHAT_TO_DO}"
            )
    return Installation(marker, databases, installation_id, kind == _NEW, kind is None)


def _missing(marker: Path, names: Sequence[str]) -> str:
    are = "is" if len(names) == 1 else "are"
    return f"{' and '.join(names)} {are} missing in {marker.parent}: {_WHAT_TO_DO}"


def _incomplete(marker: Path) -> Path:
    return marker.with_name(f"{marker.name}.incomplete")


def _read(marker: Path) -> tuple[str, str]:
    """Return a marker's id and kind."""
    try:
        installation_id, *kind = marker.read_text().split()
    except (OSError, ValueError):  # the latter also where it is not text
        raise StartRefused(f"{marker} cannot be read, or is empty: {_WHAT_TO_DO}") from None
    return installation_id, " ".join(kind)


def _id_in(path: Path, in_use: bool) -> str | None:
    """Return the id in a database; None in one of an earlier release, or without any tables."""
    try:
        with read_only(path, in_use=in_use) as db:
            if not db.execute("PRAGMA table_info(installation)").fetchall():
                return None
            row = db.execute("SELECT installation_id FROM installation").fetchone()
    except sqlite3.Error as error:
        raise StartRefused(
            f"{path} cannot be used ({error}): make it readable, or {_WHAT_TO_DO}"
        ) from error
    return None if row is None else str(row[0])
