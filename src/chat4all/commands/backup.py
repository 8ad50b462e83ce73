"""`chat4all backup`."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from chat4all.concurrency.output import say
from chat4all.domain.errors import CommandRefused
from chat4all.operations.backup_files import sync
from chat4all.operations.backups import (
    DATABASES,
    Manifest,
    copy_all,
    errors_refused,
    mib,
    report,
    room_for,
    size_of,
)
from chat4all.operations.ending import ended_by_signals
from chat4all.operations.installation import existing_folder, tell_unknown_names, unreadable_refused
from chat4all.operations.options import data_option


@click.command()
@click.argument("dest", type=Path)
@data_option
def backup(dest: Path, data: Path | None) -> None:
    """Copy all data into the new folder DEST, while Chat4All runs or not.

    Clients need not wait: each file is copied as it is at one moment. Whatever was accepted before
    this began is in it. The copy is checked, and has its name only when it is whole and on the
    disk. It has the secret that signs tokens: keep it as safe as the data. Where bytes of files are
    lost, all else is copied, they are counted, and the status is 3.
    """
    tell_unknown_names()
    manifest = back_up(existing_folder(data), dest)
    size = sum(file.bytes for file in manifest.files.values())
    what = "a backup without some files" if manifest.lacking else "a whole backup"
    report(
        f"{dest} is {what}: {mib(size)}, log.db up to record {manifest.end}, "
        f"{manifest.end - manifest.stored} of them to be numbered after a restore",
        manifest.lacking,
    )


@unreadable_refused()
def back_up(folder: Path, dest: Path) -> Manifest:
    """Make a backup; `CommandRefused` with one sentence, and nothing left at `dest`, on failure."""
    parent = dest.absolute().parent
    if dest.exists() or dest.is_symlink():
        raise CommandRefused(f"{dest} is there already: name a new folder")
    if not parent.is_dir():
        raise CommandRefused(f"{parent} is not there: make it (or mount it) first")
    if parent.resolve().is_relative_to(folder.resolve()):
        raise CommandRefused(f"{dest} is inside the data folder: name one outside of it")
    for name in DATABASES:
        if not (folder / name).is_file():
            raise CommandRefused(f"{folder} is not whole: {name} is missing")
    with errors_refused("the backup was not made", f"there is nothing at {dest}"):
        size = size_of(folder)
        room_for(size, parent)
        say(f"copying {mib(size)} …")
        with _staging(parent, dest.name) as staging:
            manifest = copy_all(folder, staging)
            staging.rename(dest)
        sync(parent)
    return manifest


@contextmanager
def _staging(parent: Path, name: str) -> Iterator[Path]:
    """Yield a private folder next to `dest`, which is removed in the end, also after a signal.

    It has everything, the secrets included, and nobody would look for it.
    """
    with ended_by_signals():
        staging = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".partial", dir=parent))
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
