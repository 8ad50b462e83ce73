"""Looking at the folder of users' files from outside, without changing it."""

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from chat4all.adapters.embedded.object_files import Extent, extents_of, name_of, place_of
from chat4all.domain.errors import NotFound

YOUNG_SECONDS = 3_600.0
"""What is younger may belong to an upload that is not recorded yet."""

PIECE_BYTES = 1024 * 1024

_ENDING = re.compile("[.~]")
"""What begins the part of a name that says what it is of an object, or of a file: a thumbnail."""


class Leftover(NamedTuple):
    """A file or folder that belongs to no object."""

    path: Path
    size: int


def trouble_with(folder: Path, key: str, size: int, sha256: str | None = None) -> str | None:
    """Return what is wrong with an object; `sha256` is compared too, if given, by reading all."""
    try:
        extents = extents_of(place_of(folder, key))
        found = sum(extent.size for extent in extents)
        # Cut off below what the order of its parts says?
        short = any(path.stat().st_size != length for path, length in extents)
        if found != size or short:
            return f"it is not the {size:,} bytes that were uploaded"
        if sha256 is not None and _hash(extents) != sha256:
            return "it has other bytes than were uploaded"
    except (FileNotFoundError, NotFound):
        return "it is missing"
    except ValueError:
        return "the list of its parts is damaged"
    return None


def leftovers(folder: Path, keys: set[str]) -> Iterator[Leftover]:
    """Yield what is there of no object with one of these keys, and is not young."""
    names = {_ENDING.split(name_of(key))[0] for key in keys}
    newest = time.time() - YOUNG_SECONDS
    for path in _entries(folder):
        if path.name in names or _ENDING.split(path.name)[0] in names:
            continue
        with suppress(FileNotFoundError):  # deleted since it was found
            if path.stat().st_mtime < newest:
                yield Leftover(path, _size(path))


def _entries(folder: Path) -> Iterator[Path]:
    """Yield the files and folders that are parts of objects."""
    for first in _listed(folder):
        for second in _listed(first):
            yield from _listed(second)


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(
        (Path(place) / name).stat().st_size for place, _, names in os.walk(path) for name in names
    )


def _hash(extents: Sequence[Extent]) -> str:
    digest = hashlib.sha256()
    for path, _ in extents:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
    return digest.hexdigest()
