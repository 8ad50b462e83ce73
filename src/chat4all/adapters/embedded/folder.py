"""The data folder: made, checked and held by one process at a time."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from chat4all.domain.errors import StartRefused


class DataFolder:
    """A folder that only this process uses for as long as the context lasts.

    The lock is the kernel's (`flock`): it ends with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.__exit__(None, None, None)
            raise StartRefused(
                f"the data folder {self.path} is in use by another Chat4All: stop that one, or "
                "name another folder with --data"
            ) from error
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
    def is_new(self) -> bool:
        """Whether no Chat4All has kept anything here yet."""
        return not (self.path / "log.db").exists()
