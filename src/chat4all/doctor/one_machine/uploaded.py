"""Checks of what users have uploaded: the files, and the room for them."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from chat4all.adapters.embedded.blobs import RESERVED_BYTES
from chat4all.adapters.embedded.folder import FILES, installation_of
from chat4all.adapters.embedded.inspecting_objects import leftovers, trouble_with
from chat4all.adapters.embedded.marked_files import files_trouble
from chat4all.adapters.sql import Database
from chat4all.adapters.sql.inspecting_files import FilesInspection, KeptFile
from chat4all.adapters.sqlite_files import read_only
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.one_machine.files import QUICK_SECONDS
from chat4all.doctor.one_machine.installation import OneMachine
from chat4all.domain.errors import StartRefused
from chat4all.domain.files import FileId, format_size

NEARLY = 0.9
"""Of the quota."""


class _Found(NamedTuple):
    """How many files were looked at, and what is wrong with some."""

    looked_at: int
    troubles: Mapping[FileId, str]


async def room_for_files(machine: OneMachine) -> AsyncIterator[Finding]:
    """Check that the disk has room for uploads, and that the quota fits into it."""
    if not _has_files(machine):
        return
    folder = machine.folder / FILES  # which may be on a disk of its own
    free = shutil.disk_usage(folder if folder.is_dir() else machine.folder).free
    if free < RESERVED_BYTES:
        yield Finding(
            Status.PROBLEM,
            f"{format_size(free)} are free, and the last {format_size(RESERVED_BYTES)} are for "
            "messages: uploads are answered with 507",
            "make room on the disk",
        )
        return
    async with _inspected(machine) as inspection:
        count, taken = await inspection.taken()
    says = f"{count:,} files and uploads of {format_size(taken)}"
    total, room = machine.settings.files_total, free - RESERVED_BYTES
    if total is None:
        says += f"; CHAT4ALL_FILES_TOTAL is not set: they may take {format_size(room)} more"
        yield Finding(Status.OK, says)
    elif taken >= NEARLY * total:
        yield Finding(
            Status.WARNING,
            f"{says}; CHAT4ALL_FILES_TOTAL is {format_size(total)}, and beyond it uploads are "
            "refused",
            "raise it, or have users delete messages with files",
        )
    elif total - taken > room:
        yield Finding(
            Status.WARNING,
            f"CHAT4ALL_FILES_TOTAL allows {format_size(total - taken)} more than there are, and "
            f"the disk has room for {format_size(room)}",
            "lower it, or make room on the disk",
        )
    else:
        yield Finding(Status.OK, f"{says}; CHAT4ALL_FILES_TOTAL is {format_size(total)}")


async def uploaded_files(machine: OneMachine) -> AsyncIterator[Finding]:
    """Check that each file has its bytes, and that nothing else is in their folder."""
    if not _has_files(machine):
        return
    folder = machine.folder / FILES
    async with _inspected(machine) as inspection:
        kept = await inspection.kept()
        trouble = _trouble_with_folder(machine, has_files=bool(kept))
        if trouble is not None:
            what, _, remedy = trouble.partition(": ")
            yield Finding(Status.PROBLEM, what, remedy)
            return
        found = await asyncio.to_thread(_look_at, folder, kept, deep=machine.deep)
        # One may have been deleted meanwhile.
        still = await inspection.still(found.troubles)
        keys = await inspection.keys()
    if still:
        name = next(one for one in found.troubles if one in still)
        yield Finding(
            Status.PROBLEM,
            f"files that are not as they were uploaded: {len(still):,}; the first is {name}: "
            f"{found.troubles[name]}",
            "put back the whole folder from one backup: `chat4all restore`",
        )
    elif found.looked_at < len(kept):
        yield Finding(
            Status.WARNING,
            f"{found.looked_at:,} of {len(kept):,} files were looked at in {QUICK_SECONDS:g} s, "
            "and are there",
            "look at all of them: `chat4all doctor --deep`",
        )
    else:
        how = "were read, and are as they were uploaded" if machine.deep else "are there"
        yield Finding(Status.OK, f"{len(kept):,} files {how}")
    left = await asyncio.to_thread(lambda: list(leftovers(folder, keys)))
    if left:
        yield Finding(
            Status.WARNING,
            f"what no file and no upload needs: {len(left):,} in the folder {FILES}, of "
            f"{format_size(sum(one.size for one in left))}; the first is {left[0].path}",
            "it does no harm; delete it if the room is needed",
        )


def _trouble_with_folder(machine: OneMachine, *, has_files: bool) -> str | None:
    """Say why a start would refuse the folder of files; None also where it would refuse all."""
    try:
        whose = installation_of(machine.folder).installation_id
    except StartRefused:
        return None
    return files_trouble(machine.folder / FILES, whose, has_files=has_files)


def _look_at(folder: Path, kept: Sequence[KeptFile], *, deep: bool) -> _Found:
    deadline = time.monotonic() + QUICK_SECONDS
    troubles, looked_at = {}, 0
    for file in kept:
        if not deep and time.monotonic() > deadline:
            break
        looked_at += 1
        if trouble := trouble_with(folder, file.key, file.size, file.sha256 if deep else None):
            troubles[file.file_id] = trouble
    return _Found(looked_at, troubles)


def _has_files(machine: OneMachine) -> bool:
    """Say whether this installation knows files: that of an earlier release does not."""
    path = machine.folder / "metadata.db"
    if not path.is_file():
        return False
    with read_only(path) as db:
        return bool(db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'files'").fetchone())


@asynccontextmanager
async def _inspected(machine: OneMachine) -> AsyncIterator[FilesInspection]:
    database = Database(machine.folder / "metadata.db")
    try:
        yield FilesInspection(database)
    finally:
        await database.close()
