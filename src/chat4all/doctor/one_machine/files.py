"""Checks of each file, and of the library that reads them."""

import sqlite3
import time
from collections.abc import Iterator

from chat4all.adapters.embedded.inspecting import NEWEST
from chat4all.adapters.sql.schema import NEWEST as NEWEST_METADATA
from chat4all.adapters.sqlite_files import read_only
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.one_machine.installation import FILES, OneMachine

QUICK_SECONDS = 10.0
"""How long a file is searched for damage, unless `deep` is set."""


def files(machine: OneMachine) -> Iterator[Finding]:
    """Check that each file opens, has a version that this release knows, and is undamaged."""
    if not machine.has_data:
        return
    for name in FILES:
        if not (machine.folder / name).is_file():
            yield Finding(
                Status.PROBLEM,
                f"{name} is missing",
                "put back the whole folder from one backup: `chat4all restore`",
            )
            continue
        try:
            with read_only(machine.folder / name) as db:
                yield from _file(name, db, machine)
        except sqlite3.Error as error:
            yield Finding(
                Status.PROBLEM,
                f"{name} cannot be read: {error}",
                "if it is damaged, put back the whole folder: `chat4all restore`",
            )


def _file(name: str, db: sqlite3.Connection, machine: OneMachine) -> Iterator[Finding]:
    if name in NEWEST:
        version, newest = db.execute("PRAGMA user_version").fetchone()[0], NEWEST[name]
    else:
        (version,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
        newest = NEWEST_METADATA  # type: ignore[assignment]
    if version > newest:
        yield Finding(
            Status.PROBLEM,
            f"{name} was written by a newer Chat4All (its version is {version}, this release knows "
            f"{newest})",
            "update Chat4All",
        )
    elif version < newest:
        yield Finding(
            Status.WARNING,
            f"{name} is of version {version}, this release writes {newest}",
            "the next start of this release brings it up to date",
        )
    deadline = time.monotonic() + QUICK_SECONDS
    if not machine.deep:
        db.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    pragma = "integrity_check" if machine.deep else "quick_check"
    try:
        (result,) = db.execute(f"PRAGMA {pragma}(1)").fetchone()
    except sqlite3.OperationalError as error:
        if str(error) != "interrupted":
            raise
        yield Finding(
            Status.WARNING,
            f"{name} is too large to be read in {QUICK_SECONDS:g} s; what was read is whole",
            "read all of it: `chat4all doctor --deep`",
        )
        return
    if result == "ok":
        yield Finding(Status.OK, f"{name}: {pragma} is ok")
    else:
        yield Finding(
            Status.PROBLEM,
            f"{name} is damaged: {result}",
            "stop Chat4All, keep a copy, and put back a backup: `chat4all restore`",
        )


def sqlite_library(_: OneMachine) -> Iterator[Finding]:
    """Check that SQLite has no known defect that affects these files."""
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
