"""Real disk failures for a running product, and their end."""

import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.running import Running


def ordinary(product: Sequence[str]) -> list[str]:
    """Return the command that runs a product which file permissions hold for, by root as well."""
    if os.geteuid() != 0:
        return list(product)
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--", *product]


@contextmanager
def size_limit(running: Running) -> Iterator[None]:
    """Make every write fail, as on a full disk."""
    assert running.process is not None
    first = running.process.pid
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    processes = [first, *map(int, children)]
    before = resource.prlimit(first, resource.RLIMIT_FSIZE)
    for pid in processes:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        for pid in processes:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a database's write lock, as a forgotten tool would."""
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        db.execute("ROLLBACK")
        db.close()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Remove write permission. Open files stay writable until they are reopened."""
    modes = {path: path.stat().st_mode for path in (folder, *folder.iterdir())}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@contextmanager
def small_disk(folder: Path, mebibytes: int = 64) -> Iterator[Path | None]:
    """Mount some memory as a disk; None where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Use up all room on a disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            assert shutil.disk_usage(disk).free == 0
    try:
        yield
    finally:
        ballast.unlink()
