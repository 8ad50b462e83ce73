"""Files and folders that only their owner can read, whatever the umask is."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

OTHERS = 0o077
"""The mode's bits for everybody but the owner."""


def create_private(path: Path) -> None:
    """Create an empty file with mode 0600 where there is none.

    SQLite opens it later, and gives the mode of a database to the files that it puts beside it. A
    symbolic link is followed, also one whose target does not exist yet. Nothing that exists is
    opened: closing a file ends the locks that SQLite holds on it in this process.
    """
    try:
        os.close(open_private(path.resolve()))
    except FileExistsError:
        return


def open_private(path: Path) -> int:
    """Create a file with mode 0600 and return its descriptor, open for writing.

    Raises `FileExistsError` for one that exists.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, 0o600)  # the umask may have taken bits of the owner's
    return handle


def make_private_folder(path: Path) -> None:
    """Create a folder with mode 0700, and its parents as usual, where there is none."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by one with mode 0600, durably: a crash leaves the old one or the new one."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(open_private(beside), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    rename_durably(beside, path)


def rename_durably(source: Path, target: Path) -> None:
    """Rename a file within its folder; the new name survives a crash."""
    source.rename(target)
    sync_folder(target.parent)


def sync_folder(path: Path) -> None:
    """Return once the names in a folder survive a crash."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def lock_folder(path: Path) -> AbstractContextManager[None]:
    """Wait until nobody else has locked a folder, and lock it until the context is left.

    Raises `OSError` for one that cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return _closing(handle)


@contextmanager
def _closing(handle: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(handle)


def is_open_to_others(path: Path) -> bool:
    """Say whether others than the owner may read, write or enter it; `OSError` if it is gone."""
    return bool(stat.S_IMODE(path.stat().st_mode) & OTHERS)


def tighten(path: Path) -> bool:
    """Take a file or folder from everybody but its owner; say whether it is private now.

    Only where it is ours: somebody else's, such as the root of a mounted volume, stays as it is.
    """
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & OTHERS == 0:
        return True
    if status.st_uid != os.geteuid():
        return False
    try:
        path.chmod(mode & ~OTHERS)
    except OSError:  # some file systems have no modes
        return False
    return not is_open_to_others(path)
