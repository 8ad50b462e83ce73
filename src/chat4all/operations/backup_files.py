"""The files of users in a backup: copied while they are in use, and compared later.

What is whole never changes, and a part of an upload is a file that is not written again; so each is
copied as it is. metadata.db is copied before, so that what it names was there by then: what of that
is not in the copy was deleted meanwhile, or is lost.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from chat4all.adapters.embedded.folder import FILES, installation_of
from chat4all.adapters.embedded.inspecting_objects import trouble_with
from chat4all.adapters.embedded.marked_files import OBJECTS, files_trouble, mark_files
from chat4all.adapters.installation import MARKER
from chat4all.adapters.private_files import make_private_folder, open_private
from chat4all.adapters.sql.inspecting_files import KeptFile, kept_in
from chat4all.adapters.sqlite_files import read_only
from chat4all.domain.errors import CommandRefused

WALKS_MAX = 5
"""An upload that is finished meanwhile moves, and is found at its new place by another walk."""

PIECE_BYTES = 1024 * 1024

_NAME = re.compile(rf"{FILES}/({MARKER}|[0-9a-f]{{2}}/[0-9a-f]{{2}}/[\w.~-]+(/[\w.-]+)?)", re.ASCII)


class File(msgspec.Struct, frozen=True):
    """One file of a backup."""

    sha256: str
    bytes: int


class Lacking(NamedTuple):
    """Files that metadata.db has and whose bytes are not in a copy, by their ids."""

    lost: frozenset[str]
    deleted: frozenset[str]
    """Those that were deleted since metadata.db was copied."""


def is_of_users(name: str) -> bool:
    """Say whether a name in a manifest is that of a file in the folder of files, and nowhere else.

    Nobody has checked a manifest that somebody brings.
    """
    return _NAME.fullmatch(name) is not None and not {".", ".."} & set(name.split("/"))


def size_of_files(folder: Path) -> int:
    """Return how many bytes users' files take."""
    size = 0
    for name in _names_in(folder):
        with suppress(FileNotFoundError):
            size += (folder / name).stat().st_size
    return size


def copy_files(
    folder: Path, staging: Path, before: Mapping[str, File] | None = None
) -> dict[str, File]:
    """Copy the users' files of a data folder, except those of `before`; return all, by name."""
    copied = {**(before or {})}
    for _ in range(WALKS_MAX):
        new = [name for name in _names_in(folder) if name not in copied]
        for name in new:
            with suppress(FileNotFoundError):  # deleted, or moved, since it was found
                copied[name] = _copy(folder, staging, name)
        if not new:
            break
    for name in [name for name in copied if not (folder / name).exists()]:
        (staging / name).unlink()
        del copied[name]
    return copied


def check_files(folder: Path, staging: Path) -> None:
    """Raise `CommandRefused` where a start in the copied folder would, for its folder of files.

    Its disk is not mounted, most likely; one object that is lost is no reason to make no backup.
    """
    whose = installation_of(staging, in_use=False).installation_id
    if trouble := files_trouble(folder / FILES, whose, has_files=bool(_kept(staging))):
        raise CommandRefused(trouble)


def mark_restored(staging: Path) -> None:
    """Mark the folder of files of a restore, whose backup is of a release without markers.

    Made if it is to have files: that they are lost was said, and keeps nobody from starting.
    """
    if _kept(staging):
        make_private_folder(staging / FILES)
    if (staging / FILES).is_dir():
        mark_files(staging / FILES, installation_of(staging, in_use=False).installation_id)


def lacking_in(staging: Path, folder: Path | None = None) -> Lacking:
    """Return which files a copy lacks, or has not as they were uploaded.

    With `folder`, whose copy it is, those that are no longer in that are told apart.
    """
    without = {
        file.file_id
        for file in _kept(staging)
        if trouble_with(staging / FILES, file.key, file.size)
    }
    lost = without
    if folder is not None and without:
        lost = without & {file.file_id for file in _kept(folder, in_use=True)}
    return Lacking(frozenset(lost), frozenset(without - lost))


def _kept(folder: Path, *, in_use: bool = False) -> Sequence[KeptFile]:
    """Return the files that a folder's metadata.db has."""
    with read_only(folder / "metadata.db", in_use=in_use) as db:
        return kept_in(db)


def make_parents(folder: Path, name: str) -> None:
    """Make the folders above a file of a backup, for their owner only."""
    above = folder
    for part in Path(name).parts[:-1]:
        above /= part
        make_private_folder(above)


def sync_files(folder: Path) -> None:
    """Sync the users' files of a folder, and the folders that they are in."""
    for place, _, names in os.walk(folder / FILES, onerror=_raise):
        for path in (*(Path(place) / name for name in names), Path(place)):
            sync(path)


def sync(path: Path) -> None:
    """Sync a file, or the entries of a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def describe(path: Path) -> File:
    """Return the hash and the size of a file."""
    with path.open("rb") as file:
        return File(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def _names_in(folder: Path) -> Iterator[str]:
    # Not `rglob`, which raises for a folder that is removed meanwhile.
    for place, folders, names in os.walk(folder / FILES, onerror=_raise):
        # What else is there is not ours, as `lost+found` where it is a disk of its own.
        if Path(place) == folder / FILES:
            folders[:] = [name for name in folders if OBJECTS.fullmatch(name)]
        folders.sort()
        for name in sorted(names):
            relative = (Path(place) / name).relative_to(folder).as_posix()
            if is_of_users(relative):
                yield relative


def _raise(error: OSError) -> None:
    """Raise for a folder that cannot be read, which `os.walk` passes over by itself."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _copy(folder: Path, staging: Path, name: str) -> File:
    """Copy a file, hashing it on the way: it may have 2 GiB."""
    digest, size = hashlib.sha256(), 0
    with (folder / name).open("rb") as origin:
        make_parents(staging, name)
        with os.fdopen(open_private(staging / name), "wb") as copy:
            while piece := origin.read(PIECE_BYTES):
                digest.update(piece)
                copy.write(piece)
                size += len(piece)
    return File(digest.hexdigest(), size)
