"""The data folder: created, checked and locked by one process at a time."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from chat4all.domain.errors import StartRefused

LOCK = "lock"
STAGING = "restoring"
"""In a data folder until a restore is complete: until then nothing else there counts."""

PATIENCE_SECONDS = 2.0
"""How long to wait for the folder: a router whose gateway was killed finishes its batch first."""


class DataFolder:
    """A folder that only this process uses for as long as the context lasts.

    The lock is the kernel's (`flock`): it ends with the process, however that ends. A folder whose
    restore was cut off can only be taken with `restoring`, which starts over.
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
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
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

    @property
    def is_new(self) -> bool:
        """Whether the folder has no data yet."""
        return not (self.path / "log.db").exists()


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


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
