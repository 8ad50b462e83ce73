"""How the objects of the store of files are kept in folders and files.

A part is a file of its own, under a name that is not used again: what an earlier writer still
writes, or what a crash has left, replaces nothing. A whole object is one file, or a folder with
the files of its parts and their order: nothing is copied when an upload is complete.

Every function is for a thread. `OSError` is what the disk says.
"""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from chat4all.adapters.file_store import PUBLIC, checked_key
from chat4all.adapters.private_files import (
    open_private,
    rename_durably,
    sync_folder,
    write_private,
)
from chat4all.concurrency.slices import slices
from chat4all.domain.errors import Conflict, NotFound, Unavailable
from chat4all.domain.files import StoredPart
from chat4all.ports.blobs import Chunks

ORDER = "order"
"""In the folder of an object: the names of its parts and their sizes, in their order."""

_UPLOAD = re.compile(r"[0-9a-f]{32}")
_BUFFERS = 512
"""Buffers of one system call, which takes 1,024."""

SYNC_BYTES = 512 * 1024
"""How much is written between two syncs: one of a message waits for what a disk was given before.
"""


class Extent(NamedTuple):
    """A file that has some of an object's bytes, and how many."""

    path: Path
    size: int


def place_of(folder: Path, key: str) -> Path:
    """Return where an object is: by its hash in 65,536 folders, under its own name."""
    shard = hashlib.sha256(checked_key(key).encode()).hexdigest()
    return folder / shard[:2] / shard[2:4] / name_of(key)


def name_of(key: str) -> str:
    """Return the name of an object's file or folder."""
    return key.replace("/", "_")


def upload_folder(target: Path, upload: str) -> Path:
    """Return the folder of an upload's parts, beside its object."""
    # No key has a tilde.
    return target.with_name(f"{target.name}~{upload if _UPLOAD.fullmatch(upload) else 'none'}")


def make_folder(folder: Path) -> None:
    """Make a private folder, but none above it; it survives a crash."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)  # the umask may have taken bits of the owner's
    sync_folder(folder.parent)


def write_part(folder: Path, number: int, data: Chunks) -> StoredPart:
    """Write a part to a new file, durably. Raises `Conflict` where there is no such upload."""
    etag = f"{time.time_ns():016x}{secrets.token_hex(4)}"
    path = folder / _name_of(number, etag)
    try:
        size = _write_new(path, data)
        sync_folder(folder)
    except FileNotFoundError:
        raise _no_upload() from None
    # Earlier ones only, so that one of two that are written at once is kept.
    for earlier in folder.glob(f"{number:05}.*"):
        if earlier.name < path.name:
            earlier.unlink(missing_ok=True)
    return StoredPart(number, size, etag)


def finish(target: Path, upload: str, parts: Sequence[StoredPart]) -> None:
    """Give the parts their object's name, durably; nothing if it is there. Raises `Conflict`."""
    folder = upload_folder(target, upload)
    if not target.exists():
        if not folder.is_dir():
            raise _no_upload()
        named = _checked(folder, parts)
        if len(named) == 1:
            rename_durably(named[0].path, target)
        else:
            _put_in_order(folder, named)
            rename_durably(folder, target)
    remove([folder])


def _checked(folder: Path, parts: Sequence[StoredPart]) -> Sequence[Extent]:
    """Return the files of parts that are what they are said to be."""
    if any(one.number >= other.number for one, other in pairwise(parts)):
        raise Conflict("the parts of an upload are not in the order of their numbers")
    named = [Extent(folder / _name_of(part.number, part.etag), part.size) for part in parts]
    for part, (path, size) in zip(parts, named, strict=True):
        if not path.is_file() or path.stat().st_size != size:
            raise Conflict(f"part {part.number} of the upload is not the one that was written")
    return named


def _put_in_order(folder: Path, named: Sequence[Extent]) -> None:
    """Leave nothing in an upload's folder but these parts, and write down their order."""
    wanted = {path for path, _ in named}
    for path in folder.iterdir():
        if path not in wanted and not path.name.startswith(ORDER):
            path.unlink(missing_ok=True)
    order = "".join(f"{path.name} {size}\n" for path, size in named)
    write_private(folder / ORDER, order.encode())


def extents_of(target: Path) -> Sequence[Extent]:
    """Return the files of an object. Raises `NotFound`."""
    try:
        if not target.is_dir():
            return [Extent(target, target.stat().st_size)]
        lines = (target / ORDER).read_text().splitlines()
    except FileNotFoundError:
        raise NotFound("no such object in the store of files") from None
    parts = (line.split() for line in lines)
    return [Extent(target / name, int(size)) for name, size in parts]


def read_piece(path: Path, offset: int, size: int) -> bytes:
    """Return bytes of a file, at most `size` of them. Raises `NotFound`."""
    try:
        # Opened anew for each piece: a reader that is cancelled leaves nothing open.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound("the object was deleted from the store of files") from None
    try:
        found = os.pread(handle, size, offset)
    finally:
        os.close(handle)
    if not found:
        raise Unavailable(f"{path} is shorter than it was: restore it from a backup", PUBLIC)
    return found


def put_file(target: Path, data: Chunks) -> None:
    """Write an object of one file, durably: there is all of it, or what was there before."""
    new = target.with_name(f"{target.name}~{secrets.token_hex(8)}")
    _write_new(new, data)
    rename_durably(new, target)


def _write_new(path: Path, data: Chunks) -> int:
    """Write a new file, and return its size once its bytes are on the disk."""
    handle = open_private(path)
    try:
        for some in _in_syncs(data):
            for buffers in slices(some, _BUFFERS):
                _write_all(handle, buffers)
            os.fdatasync(handle)
        return os.fstat(handle).st_size
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _in_syncs(data: Chunks) -> Iterator[list[bytes]]:
    """Yield data by what is synced at once: at least `SYNC_BYTES`, but for the last."""
    some: list[bytes] = []
    for piece in data:
        some.append(piece)
        if sum(map(len, some)) >= SYNC_BYTES:
            yield some
            some = []
    yield some


def _write_all(handle: int, buffers: Sequence[bytes]) -> None:
    left = [memoryview(buffer) for buffer in buffers]
    while left:
        written = os.writev(handle, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


def remove(paths: Sequence[Path]) -> None:
    """Remove files and folders; one that is not there counts as removed."""
    for path in paths:
        if path.is_dir():
            (path / ORDER).unlink(missing_ok=True)  # first: without it the object is gone
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def leftovers_of(target: Path) -> Sequence[Path]:
    """Return what a process that was killed has left of an object or of its upload."""
    return [*target.parent.glob(f"{target.name}~*")]


def _name_of(number: int, etag: str) -> str:
    return f"{number:05}.{etag}"


def _no_upload() -> Conflict:
    return Conflict("there is no such upload in the store of files: it was finished or given up")
