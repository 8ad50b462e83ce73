"""Opening and watching SQLite files: private ones, and none removed under a running process."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.private_files import create_private
from chat4all.domain.errors import StartRefused

_BESIDE = ("-wal", "-shm")
"""What SQLite has beside a database in use: commits that are not in it yet, and their index."""


def beside(path: Path) -> Sequence[Path]:
    """Return the files that SQLite has beside a database in use."""
    return [path.with_name(f"{path.name}{ending}") for ending in _BESIDE]


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


@contextmanager
def watching(
    present: PresentFiles, databases: Sequence[Path], others: Sequence[Path]
) -> Iterator[None]:
    """Watch databases that were opened, what SQLite has beside them, and other files.

    SQLite removes what is beside a database together with its last connection, and connections are
    replaced after an error. So one that does nothing stays open until the context is left; after
    that only the databases and the others are watched. Raises `StartRefused` when a database
    cannot be opened.
    """
    present.watch([*databases, *others])
    with ExitStack() as stack:
        for path in databases:
            try:
                idle = stack.enter_context(closing(read_write(path, present)))
                idle.execute("SELECT 1 FROM sqlite_schema").fetchone()  # opens the files beside it
            except sqlite3.Error as error:
                raise StartRefused(f"{path} cannot be used ({error}): make it writable") from error
        # A file system without shared memory has none of them.
        extra = [file for path in databases for file in beside(path) if file.exists()]
        present.watch([*databases, *others, *extra])
        try:
            yield
        finally:
            present.forget(extra)
