"""Opening SQLite files: private ones, and none that was removed under a running process."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.private_files import create_private


def read_write(path: Path, present: PresentFiles, **options: Any) -> sqlite3.Connection:
    """Open a SQLite file without implicit transactions; `sqlite3.Error` when that cannot be.

    Creates it, for its owner only, until the files in `present` are watched: one that is removed
    under a running process must not come back empty.
    """
    if not present.are_watched:
        try:
            create_private(path)
        except OSError as error:
            raise sqlite3.OperationalError(
                f"unable to open database file: {error.strerror}"
            ) from error
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection: sqlite3.Connection = sqlite3.connect(uri, uri=True, isolation_level=None, **options)
    return connection


@contextmanager
def read_only(path: Path, *, in_use: bool = True) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file for reading; `sqlite3.Error` when that cannot be.

    With `in_use` false no file is created beside it; never for a file that may be written to
    meanwhile.
    """
    how = "mode=ro" if in_use else "mode=ro&immutable=1"
    db = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, isolation_level=None)
    try:
        db.execute("PRAGMA busy_timeout = 5000")
        yield db
    finally:
        db.close()
