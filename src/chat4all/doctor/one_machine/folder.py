"""Checks of the data folder and the disk that it is on."""

import os
import shutil
from collections.abc import Iterator

from chat4all.adapters.embedded.folder import files_for_owner_only, installation_of, restore_trouble
from chat4all.adapters.private_files import is_open_to_others
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.one_machine.installation import OneMachine
from chat4all.domain.errors import StartRefused

ROOM_LEAST = 100 * 2**20
ROOM_LITTLE = 2**30
"""Free bytes: below the first, sending will soon answer 503; below the second, a warning."""


def data_folder(machine: OneMachine) -> Iterator[Finding]:
    """Check that the folder exists, is ours, writable, and closed to other users."""
    folder = machine.folder
    if not folder.exists():
        parent = next(path for path in folder.absolute().parents if path.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding(
                Status.WARNING,
                f"{folder} is not there yet",
                "the first `chat4all up` makes it; or name the folder with --data",
            )
        else:
            yield Finding(
                Status.PROBLEM,
                f"{folder} is not there and cannot be made in {parent}",
                "change the permissions, or name another folder with --data",
            )
        return
    if not folder.is_dir():
        yield Finding(Status.PROBLEM, f"{folder} is no folder", "name another with --data")
        return
    if trouble := restore_trouble(folder):
        yield Finding(Status.PROBLEM, trouble)
    if not machine.has_data:
        yield Finding(
            Status.WARNING, f"{folder} has no data of Chat4All", "name its folder with --data"
        )
    status = folder.stat()
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            Status.PROBLEM,
            f"{folder} cannot be written",
            "change its owner or permissions, or mount its disk for writing",
        )
    owners = {path.stat().st_uid for path in folder.iterdir() if path.is_file()} | {status.st_uid}
    if len(owners) > 1:
        yield Finding(
            Status.PROBLEM,
            f"{folder} and its files belong to different users",
            "`chown -R` it to the user that Chat4All runs as",
        )
    elif os.geteuid() not in (0, status.st_uid):
        yield Finding(
            Status.PROBLEM,
            f"{folder} belongs to another user than you",
            "run Chat4All and its commands as that user",
        )
    if is_open_to_others(folder):
        yield Finding(
            Status.PROBLEM, f"{folder} can be read by other users", f"`chmod 700 {folder}`"
        )
    names = [path.name for path in files_for_owner_only(folder) if is_open_to_others(path)]
    if names:
        yield Finding(
            Status.PROBLEM,
            f"{' and '.join(names)} can be read by other users",
            f"`chmod 600` {'it' if len(names) == 1 else 'them'}; passwords' hashes may be known",
        )
    yield Finding(Status.OK, f"{folder.resolve()}")


def installation(machine: OneMachine) -> Iterator[Finding]:
    """Check that no part of the installation is missing, or of another one."""
    if not machine.has_data:
        return
    try:
        found = installation_of(machine.folder)
    except StartRefused as refused:
        yield Finding(Status.PROBLEM, str(refused))
        return
    if found.is_complete:
        yield Finding(Status.OK, f"its files are all of {found.installation_id}")
    else:
        yield Finding(
            Status.WARNING, "its files have no common id yet", "the next start gives them one"
        )


def disk_space(machine: OneMachine) -> Iterator[Finding]:
    """Check that the disk has room for new messages."""
    if not machine.folder.exists():
        return
    free = shutil.disk_usage(machine.folder).free
    says = f"{free / 2**20:,.0f} MiB are free"
    if free < ROOM_LEAST:
        yield Finding(Status.PROBLEM, says, "make room: when the disk is full, sending answers 503")
    elif free < ROOM_LITTLE:
        yield Finding(Status.WARNING, says, "make room soon")
    else:
        yield Finding(Status.OK, says)
