"""What is kept from one run of a program to the next: positions, and uploads."""

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from chat4all.client.events import Positions

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class PositionsFile:
    """Keeps positions from one run of a program to the next.

    `await file.save(chat.positions)` at the end of a loop's body, and `chat.events(file.load())`.
    The file is replaced in one step: after a crash it is the one before or the new one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._saved: Positions | None = None
        self._writing = threading.Lock()

    def load(self) -> Positions | None:
        """Return what was saved last; None at the first run. `ValueError` for another file."""
        try:
            self._saved = msgspec.json.decode(self._path.read_bytes(), type=Positions)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise ValueError(f"{self._path} does not have positions: {error}") from None
        return self._saved

    async def save(self, positions: Positions) -> None:
        """Write positions, unless they are those of the last time."""
        if positions != self._saved:
            await asyncio.to_thread(self._replace, msgspec.json.encode(positions))
            self._saved = positions

    def _replace(self, content: bytes) -> None:
        with self._writing:  # a task that was cancelled may have left a thread here
            _write(self._path, content)


class UploadsFile:
    """Keeps where uploads are on the server, so that a later run goes on with them.

    Any number of programs may use it at once, where files can be locked (not on Windows). A file
    that was changed meanwhile is uploaded anew.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._writing = threading.Lock()

    async def find(self, key: str) -> str | None:
        """Return the address of an upload that has begun."""
        return (await asyncio.to_thread(self._load)).get(key)

    async def keep(self, key: str, address: str | None) -> None:
        """Keep an upload's address; None once it is no longer needed."""
        await asyncio.to_thread(self._change, key, address)

    def _load(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise ValueError(f"{self._path} does not have uploads: {error}") from None

    def _change(self, key: str, address: str | None) -> None:
        with self._writing, _alone(self._path):
            kept = self._load()
            if address is None:
                kept.pop(key, None)
            else:
                kept[key] = address
            _write(self._path, msgspec.json.encode(kept))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one at a time change a file, of all that are opened in any process."""
    name = path.with_name(f"{path.name}.lock")
    with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def lock_exclusively(file: BinaryIO, path: Path) -> None:
    """Hold a file until it is closed. Raises `FileExistsError` while anybody else holds it.

    So too where it is not at `path` any more: somebody has held it, and given it its name.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_there = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except (BlockingIOError, FileNotFoundError):
            is_there = False
        if not is_there:
            raise FileExistsError(errno.EEXIST, "another download writes it", str(path))


def _write(path: Path, content: bytes) -> None:
    """Replace a file, which is for its owner only: it has names of theirs."""
    beside = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
