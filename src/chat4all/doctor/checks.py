"""What `chat4all doctor` looks at: the folder and what it rests on.

A check is a function that yields what it has to say; it changes nothing. What it cannot read is
reported by `run`.
"""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from chat4all.adapters.crypto import check_secret, load_or_make_secret
from chat4all.adapters.embedded.folder import restore_trouble
from chat4all.domain.errors import StartRefused
from chat4all.settings import Settings

FILES = ("log.db", "store.db", "metadata.db")

ROOM_LEAST = 100 * 2**20
ROOM_LITTLE = 2**30
"""Bytes: below the first, sending will soon answer 503; below the second, somebody should look."""


class Status(StrEnum):
    """How bad it is. Only a problem makes the exit status 1."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has to say, in sentences: what is the case, and what to do about it."""

    status: Status
    says: str
    do: str | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """What is examined. `held`: a process has the data folder. `deep`: take time."""

    settings: Settings
    held: bool
    deep: bool = False

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.settings.data

    @property
    def has_data(self) -> bool:
        """Whether there are files to look at."""
        return any((self.folder / name).is_file() for name in FILES)


Check = Callable[[Installation], Iterator[Finding]]


def run(check: Check, it: Installation) -> Sequence[Finding]:
    """Return what a check finds; one that cannot look has found something."""
    try:
        return list(check(it))
    except (OSError, sqlite3.Error, StartRefused) as error:
        return [Finding(Status.PROBLEM, f"cannot be checked: {error}", "make it readable")]


def data_folder(it: Installation) -> Iterator[Finding]:
    """Look whether it is there, ours, writable, and nobody else's to read."""
    folder = it.folder
    if not folder.exists():
        above = next(path for path in folder.absolute().parents if path.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield Finding(
                Status.WARNING,
                f"{folder} is not there yet",
                "the first `chat4all up` makes it; or name the folder with --data",
            )
        else:
            yield Finding(
                Status.PROBLEM,
                f"{folder} is not there and cannot be made in {above}",
                "change the permissions, or name another folder with --data",
            )
        return
    if not folder.is_dir():
        yield Finding(Status.PROBLEM, f"{folder} is no folder", "name another with --data")
        return
    if trouble := restore_trouble(folder):
        yield Finding(Status.PROBLEM, trouble)
    if not it.has_data:
        yield Finding(
            Status.WARNING, f"{folder} has no data of Chat4All", "name its folder with --data"
        )
    found = folder.stat()
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            Status.PROBLEM,
            f"{folder} cannot be written",
            "change its owner or permissions, or mount its disk for writing",
        )
    owners = {path.stat().st_uid for path in folder.iterdir() if path.is_file()} | {found.st_uid}
    if len(owners) > 1:
        yield Finding(
            Status.PROBLEM,
            f"{folder} and its files belong to different users",
            "`chown -R` it to the user that Chat4All runs as",
        )
    elif os.geteuid() not in (0, found.st_uid):
        yield Finding(
            Status.PROBLEM,
            f"{folder} belongs to another user than you",
            "run Chat4All and its commands as that user",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        yield Finding(
            Status.WARNING, f"{folder} can be read by other users", f"`chmod 700 {folder}`"
        )
    yield Finding(Status.OK, f"{folder.resolve()}")


def secret_key(it: Installation) -> Iterator[Finding]:
    """Look whether the secret that signs tokens is long enough, and secret."""
    path = it.folder / "secret-key"
    try:
        if it.settings.secret_key is not None:
            check_secret(it.settings.secret_key.get_secret_value().encode())
        elif path.exists():
            load_or_make_secret(path)
        elif it.has_data:
            yield Finding(
                Status.WARNING,
                f"there is no {path}",
                "nothing, if the server has SECRET_KEY set; else the next start makes another, and "
                "everybody signs in again",
            )
            return
        else:
            return
    except StartRefused as refused:
        yield Finding(Status.PROBLEM, str(refused))
        return
    yield Finding(Status.OK, "kept" if it.settings.secret_key is None else "set by SECRET_KEY")


def disk_space(it: Installation) -> Iterator[Finding]:
    """Look whether there is room for what will be accepted."""
    if not it.folder.exists():
        return
    free = shutil.disk_usage(it.folder).free
    says = f"{free / 2**20:,.0f} MiB are free"
    if free < ROOM_LEAST:
        yield Finding(Status.PROBLEM, says, "make room: when the disk is full, sending answers 503")
    elif free < ROOM_LITTLE:
        yield Finding(Status.WARNING, says, "make room soon")
    else:
        yield Finding(Status.OK, says)


def sqlite_library(_: Installation) -> Iterator[Finding]:
    """Look whether SQLite has a known defect that concerns these files."""
    says = f"SQLite {sqlite3.sqlite_version}"
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        yield Finding(
            Status.WARNING,
            f"{says} has the WAL-reset bug (https://sqlite.org/wal.html#walresetbug): in rare "
            "cases two connections that write or checkpoint one file at the same instant damage it",
            "use a Python with SQLite 3.51.3 or newer (or 3.50.7, 3.44.6) when you can; until then "
            "replay dead letters while it is stopped",
        )
    else:
        yield Finding(Status.OK, says)


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Say whether SQLite's documentation names this version: 3.7.0 to 3.51.2, without backports."""
    if version[:2] in ((3, 44), (3, 50)):
        return version < {44: (3, 44, 6), 50: (3, 50, 7)}[version[1]]
    return (3, 7, 0) <= version < (3, 51, 3)
