"""`chat4all restore`."""

import asyncio
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

import click
from msgspec import structs

from chat4all.adapters.crypto import load_or_make_secret
from chat4all.adapters.embedded import DataFolder, EmbeddedConsumer, EmbeddedLog, EmbeddedStore
from chat4all.adapters.embedded.folder import FILES, LOCK, STAGING, begin_generation
from chat4all.adapters.private_files import create_private, make_private_folder
from chat4all.adapters.sql import Database, upgrade
from chat4all.domain.errors import CommandRefused, StartRefused
from chat4all.operations.backup_files import lacking_in, make_parents, mark_restored, sync_files
from chat4all.operations.backups import (
    SECRET,
    Manifest,
    check_backup,
    check_databases,
    check_pair,
    errors_refused,
    mib,
    report,
    room_for,
    sync_all,
)
from chat4all.operations.installation import settings_from, tell_unknown_names, unreadable_refused
from chat4all.operations.options import data_option

LAST = "log.db"
"""A folder that has it counts as in use: it is restored after all others."""


@click.command()
@click.argument("source", metavar="BACKUP", type=Path)
@data_option
def restore(source: Path, data: Path | None) -> None:
    """Put BACKUP into the data folder, which must be empty or not there yet.

    Every file is compared with what was backed up, then opened as Chat4All opens it. What was cut
    off is done again by the same command; until then Chat4All does not start in that folder. Where
    the backup lacks bytes of files, all else is restored, they are counted, and the status is 3.
    """
    tell_unknown_names()
    folder = settings_from(data=data).data
    manifest = put_back(source, folder)
    size = sum(file.bytes for file in manifest.files.values())
    report(
        f"{folder} is as it was at {manifest.made_at}: {mib(size)}, log.db up to record "
        f"{manifest.end}. Start it with `chat4all up`.",
        manifest.lacking,
    )


@unreadable_refused()
def put_back(source: Path, folder: Path) -> Manifest:
    """Restore a backup; `CommandRefused` or `StartRefused`, the folder unchanged, if it fails."""
    was_there, had_lock = folder.exists(), (folder / LOCK).exists()
    if not had_lock:
        _must_be_empty(folder)
    with errors_refused("the backup was not restored", f"{folder} is as it was"):
        manifest = check_backup(source)
        with DataFolder(folder, restoring=True):
            _must_be_empty(folder)
            try:
                lost = _put_back(source, folder, manifest)
            except BaseException:
                _clear(folder)
                if not had_lock:
                    (folder / LOCK).unlink()
                if not was_there:
                    folder.rmdir()
                raise
    return structs.replace(manifest, lacking=lost)


def _put_back(source: Path, folder: Path, manifest: Manifest) -> int:
    """Return how many files of users are without their bytes."""
    _clear(folder)
    staging = folder / STAGING
    make_private_folder(staging)
    sync_all(folder)
    room_for(sum(file.bytes for file in manifest.files.values()), folder)
    for name in manifest.files:
        make_parents(staging, name)
        create_private(staging / name)
        shutil.copyfile(source / name, staging / name)
    check_pair(staging, manifest)
    check_databases(staging, f"{source} is damaged")
    try:
        asyncio.run(_open(staging))
    except StartRefused as refused:
        raise CommandRefused(f"{source} cannot be used: {refused}") from refused
    lost = len(lacking_in(staging).lost - {*manifest.deleted})
    mark_restored(staging)
    begin_generation(staging)
    sync_files(staging)
    sync_all(staging)
    for path in sorted(staging.iterdir(), key=lambda path: path.name == LAST):
        path.rename(folder / path.name)
    sync_all(folder)
    staging.rmdir()
    sync_all(folder)
    return lost


async def _open(folder: Path) -> None:
    """Open everything as a start does, which migrates files of an older release."""
    if (folder / SECRET).exists():
        load_or_make_secret(folder / SECRET)
    async with AsyncExitStack() as stack:
        log, store = EmbeddedLog(folder / "log.db"), EmbeddedStore(folder / "store.db")
        directory = Database(folder / "metadata.db")
        for part in (log, store, directory):
            stack.push_async_callback(part.close)
        await upgrade(directory)
        await log.open()
        await store.open()
        await EmbeddedConsumer(log, store).check()


def _must_be_empty(folder: Path) -> None:
    """Raise `CommandRefused` if a restore into this folder would lose data.

    While `restoring` exists, everything next to it came from a restore that was cut off.
    """
    if not folder.exists() or (folder / STAGING).exists():
        return
    if not folder.is_dir() or any(path.name != LOCK for path in folder.iterdir()):
        raise CommandRefused(
            f"{folder} is not empty: name a new folder with --data, or move what is there away"
        )


def _clear(folder: Path) -> None:
    """Remove the leftovers of a restore that was cut off, its mark last."""
    if (folder / STAGING).exists():
        for path in folder.iterdir():
            if path.name == FILES:
                shutil.rmtree(path)
            elif path.name not in (LOCK, STAGING):
                path.unlink()
        shutil.rmtree(folder / STAGING)
