"""The progress bar of a transfer, and where a download is saved."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from chat4all.client.uploading import OnProgress
from chat4all.terminal.failing import Failed
from chat4all.terminal.showing import visible

NAME_DEFAULT = "file"
NAME_BYTES_MAX = 150
"""Of 255: an ending, and that of what is not whole yet, have to fit as well."""
ENDING_MAX = 16


@contextmanager
def progress(what: str) -> Iterator[OnProgress | None]:
    """Yield what shows the progress of a transfer; None where that is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(visible(what), total=None)

        def show(done: int, size: int) -> None:
            bar.update(task, completed=done, total=size)

        yield show


def target_of(given: str | None, name: str, *, replaces: bool) -> Path:
    """Return where a file is saved: at the given path, or under its name in this folder.

    The name is its sender's, who is not to choose the folder, nor a file that other programs read.
    Raises `Failed` for what is there already.
    """
    plain = _short(Path(name.replace("\\", "/")).name.lstrip(".")) or NAME_DEFAULT
    target = Path(given) if given is not None else Path(plain)
    if target.is_dir():
        target /= plain
    if target.exists() and not replaces:
        raise exists(str(target))
    return target


def exists(path: str) -> Failed:
    """Return the failure for a file that is not to be replaced."""
    return Failed(f"{path} is there already: add --force, or say another PATH")


def _short(name: str) -> str:
    """Return a name that a disk takes, with the same ending."""
    ending = Path(name).suffix[:ENDING_MAX]
    stem = name.removesuffix(Path(name).suffix).encode()[:NAME_BYTES_MAX]
    return stem.decode(errors="ignore") + ending
