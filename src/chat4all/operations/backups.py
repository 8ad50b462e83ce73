"""Backups: their contents, copying a folder in use, and checking a backup.

A backup is a folder with the files of the data folder and `manifest.json`. While clients send, each
database is copied as of one moment, store.db first: the log that is copied later has every record
that the store had, and further ones are routed after a restore. metadata.db comes after them, so
that it has the sender of every message; the files that it names come last (`backup_files`).
"""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from chat4all import __version__
from chat4all.adapters.embedded.folder import installation_trouble
from chat4all.adapters.embedded.inspecting import NEWEST, look_at_pair
from chat4all.adapters.installation import MARKER
from chat4all.adapters.private_files import open_private
from chat4all.adapters.sql.schema import NEWEST as NEWEST_METADATA
from chat4all.adapters.sqlite_files import read_only
from chat4all.concurrency.output import say
from chat4all.domain.errors import CommandRefused
from chat4all.domain.times import now_utc
from chat4all.operations.backup_files import (
    File,
    Lacking,
    check_files,
    copy_files,
    describe,
    is_of_users,
    lacking_in,
    size_of_files,
    sync,
    sync_files,
)

DATABASES = ("store.db", "log.db", "metadata.db")
"""In the order in which they are copied."""

SECRET = "secret-key"  # noqa: S105 - a file's name
"""In the data folder unless SECRET_KEY is set."""

BESIDE = (SECRET, MARKER)
"""Small files that are copied as they are. The folder of an earlier release has no marker."""

MANIFEST = "manifest.json"

FORMAT = 3
"""The manifest's version; a higher one is from a later release. Those of version 1 have no files of
users; those of version 2 have no marker with these, and do not say what was deleted meanwhile."""

INCOMPLETE = 3
"""The exit status of a command that has done its work without the bytes of some files."""

TRIES = 3
"""Attempts to copy the pair, as the log may be trimmed between the two copies."""


class _Envelope(msgspec.Struct, frozen=True):
    """The field that a manifest of any release has."""

    format: int


class Manifest(msgspec.Struct, frozen=True):
    """The contents of a backup. Offsets are log.db's; see `Pair`."""

    chat4all: str
    made_at: str
    log_id: str
    first: int
    end: int
    stored: int
    files: dict[str, File]
    format: int = FORMAT
    lacking: int = 0
    """How many files of users are without their bytes."""
    deleted: tuple[str, ...] = ()
    """Files that metadata.db has, and that were deleted while the backup was made."""


def copy_all(folder: Path, staging: Path) -> Manifest:
    """Copy a data folder into an empty one, check the copy, and sync it.

    Raises `CommandRefused` when a copy is damaged, `OSError` or `sqlite3.Error` when it
    cannot be copied.
    """
    made_at = now_utc()
    for _ in range(TRIES):
        for name in ("store.db", "log.db"):
            _copy_database(folder / name, staging / name)
        if (pair := look_at_pair(staging, in_use=False)).trouble is None:
            break
    _copy_database(folder / "metadata.db", staging / "metadata.db")
    for name in BESIDE:
        if (folder / name).exists():
            _write(staging / name, (folder / name).read_bytes())
    check_databases(staging, f"{folder} is damaged")
    if trouble := pair.trouble or installation_trouble(staging, in_use=False):
        raise CommandRefused(f"{folder} is damaged: {trouble}")
    names = [path.name for path in sorted(staging.iterdir())]
    copied, lacking = _copy_files(folder, staging)
    manifest = Manifest(
        __version__,
        made_at,
        pair.log_id,
        pair.first,
        pair.end,
        pair.offset,
        {name: describe(staging / name) for name in names} | copied,
        lacking=len(lacking.lost),
        deleted=tuple(sorted(lacking.deleted)),
    )
    _write(staging / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    sync_files(staging)
    sync_all(staging)
    return manifest


def _copy_files(folder: Path, staging: Path) -> tuple[dict[str, File], Lacking]:
    """Copy what users have uploaded; return that, and what could not be found."""
    check_files(folder, staging)
    copied = copy_files(folder, staging)
    lacking = lacking_in(staging, folder)
    if lacking.lost:
        # Files of equal content come to share an object: take what metadata.db says by now.
        _copy_database(folder / "metadata.db", staging / "metadata.db")
        check_databases(staging, f"{folder} is damaged")
        copied = copy_files(folder, staging, copied)
        lacking = lacking_in(staging, folder)
    check_files(folder, staging)  # once more: a disk may be unmounted at any time
    return copied, lacking


def check_backup(backup: Path) -> Manifest:
    """Return a backup's manifest; `CommandRefused` unless every file matches it."""
    try:
        raw = (backup / MANIFEST).read_bytes()
        if msgspec.json.decode(raw, type=_Envelope).format > FORMAT:
            raise CommandRefused(f"{backup} was made by a newer Chat4All: restore it with that one")
        manifest = msgspec.json.decode(raw, type=Manifest)
    except FileNotFoundError:
        raise CommandRefused(f"{backup} is no backup: it has no {MANIFEST}") from None
    except msgspec.MsgspecError as error:
        raise CommandRefused(
            f"{backup} is damaged: {MANIFEST} was changed ({error}); use another backup"
        ) from None
    missing = {*DATABASES} - {*manifest.files}
    others = {*manifest.files} - {*DATABASES, *BESIDE}
    if missing or not all(is_of_users(name) for name in others):
        raise CommandRefused(f"{backup} is damaged: {MANIFEST} names other files than a backup has")
    for name, file in manifest.files.items():
        try:
            actual = describe(backup / name)
        except FileNotFoundError:
            raise CommandRefused(f"{backup} is damaged: {name} is missing") from None
        if actual != file:
            raise CommandRefused(
                f"{backup} is damaged: {name} is not as it was written; use another backup"
            )
    return manifest


def check_pair(folder: Path, manifest: Manifest) -> None:
    """Raise `CommandRefused` unless the files in a folder are a pair that matches the manifest."""
    if trouble := installation_trouble(folder, in_use=False):
        raise CommandRefused(f"the backup is damaged: {trouble}")
    pair = look_at_pair(folder, in_use=False)
    if pair.trouble is not None:
        raise CommandRefused(f"the backup is damaged: {pair.trouble}")
    expected = (manifest.log_id, manifest.first, manifest.end, manifest.stored)
    if (pair.log_id, pair.first, pair.end, pair.offset) != expected:
        raise CommandRefused("the backup is damaged: its manifest is of another backup")


def check_databases(folder: Path, sentence: str) -> None:
    """Raise `CommandRefused` with a sentence when a file, which nothing has open, is damaged."""
    for name in DATABASES:
        with read_only(folder / name, in_use=False) as db:
            try:
                result = [text for (text,) in db.execute("PRAGMA integrity_check(1)")]
                newer = _is_newer(name, db)
            except sqlite3.DatabaseError as error:
                result, newer = [str(error)], False
        if result != ["ok"]:
            raise CommandRefused(f"{sentence}: {name}: {result[0]}")
        if newer:
            raise CommandRefused(
                f"{name} was written by a newer Chat4All: use that release for this"
            )


def room_for(size: int, folder: Path) -> None:
    """Raise `CommandRefused` when a folder's disk has fewer free bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise CommandRefused(
            f"there is not enough room in {folder}: {mib(size)} are needed, {mib(free)} are free"
        )


def size_of(folder: Path) -> int:
    """Return how many bytes a backup of a data folder takes, except for its small files."""
    size = 0
    for name in DATABASES:
        with read_only(folder / name) as db:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            size += pages * db.execute("PRAGMA page_size").fetchone()[0]
    return size + size_of_files(folder)


def sync_all(folder: Path) -> None:
    """Sync a folder and the files in it."""
    for path in (*folder.iterdir(), folder):
        sync(path)


@contextmanager
def errors_refused(what: str, nothing_left: str) -> Iterator[None]:
    """Turn disk and file errors into `CommandRefused` with one sentence."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        full = isinstance(error, sqlite3.Error) and "full" in str(error)
        if full or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
            reason = "the disk is full: make room, or choose another place"
        elif isinstance(error, OSError):
            reason = f"{error.filename or 'writing'}: {error.strerror}"
        else:
            reason = str(error)
        raise CommandRefused(f"{what} ({reason}); {nothing_left}") from error


def report(sentence: str, lacking: int) -> None:
    """Print what was done; if files lack their bytes, say so and end with a status of its own."""
    click.echo(sentence)
    if lacking:
        say(
            f"chat4all: {lacking:,} files of users are not in it as they were uploaded: their "
            "bytes are lost, or damaged (`chat4all doctor` names the first)"
        )
        raise click.exceptions.Exit(INCOMPLETE)


def mib(size: int) -> str:
    """Format a size for output."""
    return f"{size / 2**20:.1f} MiB"


def _copy_database(source: Path, target: Path) -> None:
    """Copy a file as of one moment, in one step: in WAL mode no writer waits for that.

    It is synced later, together with the others.
    """
    target.unlink(missing_ok=True)
    _write(target, b"")
    with read_only(source) as origin:
        copy = sqlite3.connect(target, isolation_level=None)
        try:
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")
            origin.backup(copy)
        finally:
            copy.close()


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(open_private(path), "wb") as file:
        file.write(content)


def _is_newer(name: str, db: sqlite3.Connection) -> bool:
    if name in NEWEST:
        return int(db.execute("PRAGMA user_version").fetchone()[0]) > NEWEST[name]
    row = db.execute("SELECT version_num FROM alembic_version").fetchone()
    return row is not None and str(row[0]) > NEWEST_METADATA
