"""What `chat4all doctor` looks at in the files of the data folder."""

import sqlite3
import time
from collections.abc import Iterator

from chat4all.adapters.embedded.inspecting import NEWEST, look_at_pair, read_only
from chat4all.adapters.sql.schema import NEWEST as NEWEST_METADATA
from chat4all.doctor.checks import FILES, Finding, Installation, Status

QUICK_SECONDS = 10.0
"""How long a file is read for damage, unless told to take the time that it takes."""

CLOCK_SECONDS = 60.0
"""How far in the future a record may be before the clock is doubted."""

MOVES_SECONDS = 2.0
"""Within this a router that is behind must have stored something."""


def files(it: Installation) -> Iterator[Finding]:
    """Look whether each file opens, is of a version that this release knows, and whole."""
    if not it.has_data:
        return
    for name in FILES:
        if not (it.folder / name).is_file():
            yield Finding(
                Status.PROBLEM,
                f"{name} is missing",
                "put back the whole folder from one backup: `chat4all restore`",
            )
            continue
        try:
            with read_only(it.folder / name) as db:
                yield from _file(name, db, it)
        except sqlite3.Error as error:
            yield Finding(
                Status.PROBLEM,
                f"{name} cannot be read: {error}",
                "if it is damaged, put back the whole folder: `chat4all restore`",
            )


def _file(name: str, db: sqlite3.Connection, it: Installation) -> Iterator[Finding]:
    if name in NEWEST:
        found, newest = db.execute("PRAGMA user_version").fetchone()[0], NEWEST[name]
    else:
        (found,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
        newest = NEWEST_METADATA  # type: ignore[assignment]
    if found > newest:
        yield Finding(
            Status.PROBLEM,
            f"{name} was written by a newer Chat4All (its version is {found}, this release knows "
            f"{newest})",
            "update Chat4All",
        )
    elif found < newest:
        yield Finding(
            Status.WARNING,
            f"{name} is of version {found}, this release writes {newest}",
            "the next start of this release brings it up to date",
        )
    deadline = time.monotonic() + QUICK_SECONDS
    if not it.deep:
        db.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    pragma = "integrity_check" if it.deep else "quick_check"
    try:
        (said,) = db.execute(f"PRAGMA {pragma}(1)").fetchone()
    except sqlite3.OperationalError as error:
        if str(error) != "interrupted":
            raise
        yield Finding(
            Status.WARNING,
            f"{name} is too large to be read in {QUICK_SECONDS:g} s; what was read is whole",
            "read all of it: `chat4all doctor --deep`",
        )
        return
    if said == "ok":
        yield Finding(Status.OK, f"{name}: {pragma} is ok")
    else:
        yield Finding(
            Status.PROBLEM,
            f"{name} is damaged: {said}",
            "stop Chat4All, keep a copy, and put back a backup: `chat4all restore`",
        )


def log_and_store(it: Installation) -> Iterator[Finding]:
    """Look whether log.db and store.db belong together, without a gap."""
    if not _has_pair(it):
        return
    pair = look_at_pair(it.folder)
    if pair.trouble is None:
        yield Finding(Status.OK, "log.db and store.db belong together")
    else:
        yield Finding(Status.PROBLEM, pair.trouble)


def backlog(it: Installation) -> Iterator[Finding]:
    """Look whether all that was accepted is stored, or on its way."""
    if not _has_pair(it):
        return
    first = look_at_pair(it.folder)
    behind = max(first.end - first.offset, 0)
    if behind == 0:
        yield Finding(Status.OK, "everything that was accepted is stored")
    elif not it.held:
        yield Finding(
            Status.WARNING,
            f"accepted records that are not stored yet: {behind}",
            "the next start stores them",
        )
    elif _moves(it, first.offset):
        yield Finding(Status.OK, f"the router goes on; not stored yet: {behind} records")
    else:
        yield Finding(
            Status.PROBLEM,
            f"the router does not go on; not stored: {behind}",
            "they are not lost; see what /health/ready and the log of the process say",
        )


def _moves(it: Installation, offset: int) -> bool:
    """Wait until the store has come further than an offset; False when it does not."""
    deadline = time.monotonic() + MOVES_SECONDS
    while time.monotonic() < deadline:
        if look_at_pair(it.folder).offset > offset:
            return True
        time.sleep(0.05)
    return False


def dead_letters(it: Installation) -> Iterator[Finding]:
    """Look for what was put aside and nobody has replayed."""
    if not _has_pair(it):
        return
    with read_only(it.folder / "store.db") as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        # Before version 2 there was no telling which were replayed.
        which = "WHERE replayed_ms IS NULL" if version >= 2 else ""
        (count,) = db.execute(f"SELECT count(*) FROM dead_letters {which}").fetchone()  # noqa: S608
    if count:
        yield Finding(
            Status.WARNING,
            f"dead letters that were not replayed: {count}",
            "see `chat4all dead-letters list`",
        )
    else:
        yield Finding(Status.OK, "none waits to be replayed")


def clock(it: Installation) -> Iterator[Finding]:
    """Look whether now is after all that was accepted."""
    if not _has_pair(it):
        return
    newest = look_at_pair(it.folder).newest_ms
    ahead = 0.0 if newest is None else newest / 1000 - time.time()
    if ahead > CLOCK_SECONDS:
        yield Finding(
            Status.PROBLEM,
            f"the newest record is {ahead:.0f} s in the future: the clock is or was wrong",
            "set the clock, by NTP for instance; messages keep their order meanwhile",
        )
    else:
        yield Finding(Status.OK, "now is after all that was accepted")


def _has_pair(it: Installation) -> bool:
    """Say whether both files are there; `files` reports when not."""
    return all((it.folder / name).is_file() for name in ("log.db", "store.db"))
