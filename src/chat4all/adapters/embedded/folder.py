"""The data folder: made, checked and held by one process at a time."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from chat4all.domain.errors import StartRefused

PATIENCE_SECONDS = 2.0
"""A router whose gateway was killed holds the folder until its batch is finished."""


class DataFolder:
    """A folder that only this process uses for as long as the context lasts.

    The lock is the kernel's (`flock`): it ends with the process, however that ends.
    """

    def __init__(self, path: Path, *, patience: float = PATIENCE_SECONDS) -> None:
        self.path = path
        self._patience = patience
        self._lock: int | None = None

    def __enter__(self) -> "DataFolder":
        """Take the folder; `StartRefused` with one sentence when that cannot be."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def lock(self) -> int:
        """The descriptor that holds the lock: who has a copy of it holds the folder as well."""
        if self._lock is None:
            raise RuntimeError("the folder is not held")
        return self._lock

    @property
    def is_new(self) -> bool:
        """Whether no Chat4All has kept anything here yet."""
        return not (self.path / "log.db").exists()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
