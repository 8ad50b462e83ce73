"""Opening and watching SQLite files: private ones, and none removed under a running process."""

import os
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

_NOT_OPENED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


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
    meanwhile. Raises `StartRefused` where that is denied, which says nothing against the file.
    """
    how = "mode=ro" if in_use else "mode=ro&immutable=1"
    uri = f"{path.resolve().as_uri()}?{how}"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            db.execute("PRAGMA busy_timeout = 5000")
            yield db
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_OPENED:
            _refuse_denied(path.resolve(), in_use=in_use)
        raise


def _refuse_denied(path: Path, *, in_use: bool) -> None:
    """Raise `StartRefused` where the file system denies what SQLite needs to read a file."""
    if os.access(path, os.F_OK) and not os.access(path, os.R_OK):
        raise StartRefused(
            f"{path} cannot be read: run this as the user that Chat4All runs as, or change the "
            "permissions"
        )
    if in_use and not os.access(path.parent, os.W_OK | os.X_OK):
        raise StartRefused(
            f"{path.parent} cannot be written, which SQLite needs for reading too: run this as the "
            "user that Chat4All runs as, mount the file system for writing, or name a copy of the "
            "folder with --data"
        )


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
