"""Checks of log.db and store.db together: one is filled from the other."""

import time
from collections.abc import Iterator
from pathlib import Path

from chat4all.adapters.embedded.inspecting import look_at_pair
from chat4all.adapters.sqlite_files import read_only
from chat4all.doctor.dead_letters import dead_letters_finding
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.one_machine.installation import OneMachine

PROGRESS_SECONDS = 2.0
"""A router that is behind must have stored something within this time."""


def log_and_store(machine: OneMachine) -> Iterator[Finding]:
    """Check that log.db and store.db belong together, without a gap."""
    if not machine.has_pair:
        return
    pair = look_at_pair(machine.folder)
    if pair.trouble is None:
        yield Finding(Status.OK, "log.db and store.db belong together")
    else:
        yield Finding(Status.PROBLEM, pair.trouble)


def backlog(machine: OneMachine) -> Iterator[Finding]:
    """Check that accepted messages are stored, or are being stored."""
    if not machine.has_pair:
        return
    first = look_at_pair(machine.folder)
    behind = max(first.end - first.offset, 0)
    if behind == 0:
        yield Finding(Status.OK, "everything that was accepted is stored")
    elif not machine.held:
        yield Finding(
            Status.WARNING,
            f"accepted records that are not stored yet: {behind}",
            "the next start stores them",
        )
    elif _progresses(machine.folder, first.offset):
        yield Finding(Status.OK, f"the router goes on; not stored yet: {behind} records")
    else:
        yield Finding(
            Status.PROBLEM,
            f"the router does not go on; not stored: {behind}",
            "they are not lost; see what /health/ready and the log of the process say",
        )


def _progresses(folder: Path, offset: int) -> bool:
    """Wait until the store is past an offset; False when it does not get there."""
    deadline = time.monotonic() + PROGRESS_SECONDS
    while time.monotonic() < deadline:
        if look_at_pair(folder).offset > offset:
            return True
        time.sleep(0.05)
    return False


def dead_letters(machine: OneMachine) -> Iterator[Finding]:
    """Look for dead letters that were not replayed."""
    if not machine.has_pair:
        return
    with read_only(machine.folder / "store.db") as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        # Files before version 2 do not say which were replayed.
        which = "WHERE replayed_ms IS NULL" if version >= 2 else ""
        (count,) = db.execute(f"SELECT count(*) FROM dead_letters {which}").fetchone()  # noqa: S608
    yield dead_letters_finding(count)
