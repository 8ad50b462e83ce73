"""Noticing that files were removed or replaced under a running process.

An open file can be written to after it was unlinked: everything seems to work, and is gone when the
process ends.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from chat4all.domain.errors import Unavailable

CHECK_SECONDS = 1.0
"""How old the last look at the files may be."""


def inode(path: Path) -> object:
    """Return what is the same for as long as a file is not replaced, also by its copy."""
    status = os.stat(path)  # noqa: PTH116 - called often
    return status.st_dev, status.st_ino


class PresentFiles:
    """Files that must stay where they are. Until `watch` is called there are none.

    `identity` says what is the same about a path for as long as all is well. Used by several
    threads: two that look at the same moment do no harm.
    """

    def __init__(
        self, seconds: float = CHECK_SECONDS, identity: Callable[[Path], object] = inode
    ) -> None:
        self._seconds = seconds
        self._identity = identity
        self._identities: dict[Path, object] = {}
        self._due = 0.0
        self._trouble: str | None = None

    def watch(self, paths: Iterable[Path]) -> None:
        """Remember which files these are. `OSError` for one that does not exist."""
        self._identities = {path: self._identity(path) for path in paths}

    def forget(self, paths: Iterable[Path]) -> None:
        """Watch these no longer."""
        gone = {*paths}
        self._identities = {
            path: identity for path, identity in self._identities.items() if path not in gone
        }

    @property
    def are_watched(self) -> bool:
        """Whether `watch` was called."""
        return bool(self._identities)

    def check(self, *, at_once: bool = False) -> None:
        """Return while all of them were there a moment ago; `Unavailable` says which is not.

        Looks at the disk, now and then or `at_once`: not for an event loop.
        """
        now = time.monotonic()
        if now >= self._due or at_once or self._trouble is not None:
            self._trouble = self._look()
            self._due = now + self._seconds
        if self._trouble is not None:
            raise Unavailable(self._trouble)

    def _look(self) -> str | None:
        for path, identity in self._identities.items():
            try:
                if self._identity(path) == identity:
                    continue
                what = "was replaced"
            except FileNotFoundError:
                what = "was removed" if path.parent.exists() else "is gone, with its folder"
            except OSError as error:
                what = f"cannot be reached ({error.strerror})"
            return (
                f"{path.name} {what} while Chat4All was running: put it back, or stop Chat4All "
                "and restore the folder from a backup"
            )
        return None
