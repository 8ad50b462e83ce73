"""The data folder: created, closed to others, checked and locked by one process at a time."""

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from chat4all.adapters import installation
from chat4all.adapters.installation import MARKER, Installation
from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.private_files import (
    is_open_to_others,
    make_private_folder,
    tighten,
    write_private,
)
from chat4all.adapters.sqlite_files import watching
from chat4all.domain.errors import StartRefused

_log = logging.getLogger(__name__)

LOCK = "lock"
STAGING = "restoring"
"""In a data folder until a restore is complete: until then nothing else there counts."""

DATABASES = ("log.db", "store.db", "metadata.db")

_SECRETS = ("secret-key", "service-credential")
"""Files that a start refuses while others can read them: those who did may have kept them."""

GENERATION = "generation"

FILES = "files"
"""The folder of what users have uploaded."""

_OURS = (*DATABASES, *_SECRETS, LOCK, MARKER, STAGING, GENERATION, FILES, "manifest.json")
"""What the names of our files begin with. A folder with anything else may be shared on purpose."""

PATIENCE_SECONDS = 2.0
"""How long to wait for the folder: a router whose gateway was killed finishes its batch first."""


class DataFolder:
    """A folder that only this process uses for as long as the context lasts.

    The lock is the kernel's (`flock`): it ends with the process, however that ends. A folder whose
    restore was cut off can only be taken with `restoring`, which starts over. What others can read
    of ours is closed to them, where we may.
    """

    def __init__(
        self, path: Path, *, patience: float = PATIENCE_SECONDS, restoring: bool = False
    ) -> None:
        self.path = path
        self._patience = patience
        self._restoring = restoring
        self._lock: int | None = None

    def __enter__(self) -> "DataFolder":
        """Lock the folder; `StartRefused` with one sentence when that fails."""
        try:
            make_private_folder(self.path)
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartRefused(
                f"the data folder {self.path} cannot be written ({error.strerror}): change its "
                "owner or permissions, or name another folder with --data"
            ) from error
        deadline = time.monotonic() + self._patience
        while not _locked(self._lock):
            if time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise StartRefused(
                    f"the data folder {self.path} is in use by another Chat4All: stop that one, or "
                    "name another folder with --data"
                )
            time.sleep(0.01)
        if not self._restoring and (trouble := restore_trouble(self.path)):
            self.__exit__(None, None, None)
            raise StartRefused(trouble)
        _close_to_others(self.path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def lock(self) -> int:
        """The descriptor that holds the lock: a copy of it holds the folder as well."""
        if self._lock is None:
            raise RuntimeError("the folder is not held")
        return self._lock

    def begin(self) -> Installation:
        """Return the installation in this folder, to be completed; see `installation.begin`."""
        return installation.begin(self.path / MARKER, _databases(self.path))


def begin_generation(path: Path) -> None:
    """Let the messages in a data folder be told from those that clients know: it was restored.

    Their positions may stand for other messages from here on (EXACTNESS 20h).
    """
    write_private(path / GENERATION, str(uuid.uuid4()).encode())


def generation_of(path: Path) -> str | None:
    """Return what `begin_generation` wrote; None in a folder that was never restored."""
    try:
        return (path / GENERATION).read_text()
    except FileNotFoundError:
        return None


class FolderGeneration:
    """The port `ports.generation.Generation`: the folder's, or else that of its installation."""

    def __init__(self, path: Path, installation_id: str) -> None:
        self.first: str | None = installation_id
        self._generation = generation_of(path) or installation_id

    async def current(self) -> str:
        """Return the id; see `ports.generation.Generation`."""
        return self._generation


def watching_folder(path: Path, present: PresentFiles) -> AbstractContextManager[None]:
    """Watch a data folder, once everything was opened; see `sqlite_files.watching`."""
    return watching(present, _databases(path), (path / MARKER, path / LOCK))


def installation_of(path: Path, *, in_use: bool = True) -> Installation:
    """Return the installation in a data folder, changing nothing; see `installation.look`."""
    return installation.look(path / MARKER, _databases(path), in_use=in_use)


def files_for_owner_only(path: Path) -> Sequence[Path]:
    """Return the files in a data folder that only its owner may read, but for the secrets."""
    names = (*DATABASES, MARKER)
    return [file for file in sorted(path.iterdir()) if file.name.startswith(names)]


def installation_trouble(path: Path, *, in_use: bool = True) -> str | None:
    """Say what is missing in a data folder, or is of another one; None: nothing.

    Changes nothing; for `in_use` see `read_only`.
    """
    try:
        installation_of(path, in_use=in_use)
    except StartRefused as refused:
        return str(refused)
    return None


def is_held(path: Path) -> bool:
    """Say whether a process holds the data folder at this moment."""
    try:
        lock = os.open(path / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def restore_trouble(path: Path) -> str | None:
    """Say what is wrong with a data folder whose restore was cut off; None for any other."""
    if (path / STAGING).exists():
        return f"a restore into {path} was cut off: run `chat4all restore` into it again"
    return None


def _databases(path: Path) -> Sequence[Path]:
    return tuple(path / name for name in DATABASES)


def _close_to_others(path: Path) -> None:
    try:
        within = list(path.iterdir())
        ours = [file for file in within if file.name.startswith(_OURS)]
        only_ours = len(ours) == len(within)
        closed = tighten(path) if only_ours else not is_open_to_others(path)
        for file in ours:
            if not file.name.startswith(_SECRETS) and file.exists():
                closed = tighten(file) and closed
    except OSError:
        closed = False
    if not closed:
        _log.warning(
            "others may read the data folder: make it and its files yours alone",
            extra={"folder": str(path)},
        )


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
