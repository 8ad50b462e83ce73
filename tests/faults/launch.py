"""Mutants of the product, as processes: `python -m tests.faults.launch MUTANT up ...`.

Each breaks one promise, most of them about the disk, and must be caught every time.
"""

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chat4all.adapters.embedded.database import Database
from chat4all.adapters.embedded.log import EmbeddedLog
from chat4all.cli import main
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Headers
from chat4all.gateway.files import filing
from tests.faults.mutants import contents_swapped

LITTLE_ROOM = 448 * 1024 * 1024
"""Bytes of the disk that `little_room` has."""


def unsynced() -> None:
    """Answer 202 when the operating system has the record, not when the disk has it."""
    connection = Database._connection

    def without_sync(self: Database, writing: bool) -> sqlite3.Connection:
        db = connection(self, writing)
        db.execute("PRAGMA synchronous = OFF")
        return db

    Database._connection = without_sync  # type: ignore[method-assign]


def early() -> None:
    """Answer 202 before the commit."""
    append = EmbeddedLog.append
    under_way: set[asyncio.Task[LogPosition]] = set()

    async def answer_first(
        self: EmbeddedLog, key: ConversationId, value: bytes, headers: Headers = ()
    ) -> LogPosition:
        task = asyncio.create_task(append(self, key, value, headers))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        return LogPosition(0, 0, 0)

    EmbeddedLog.append = answer_first  # type: ignore[method-assign]


def full_store() -> None:
    """Not a mutant: a disk on which `store.db` finds no room while a file named `full` is there."""
    statement = Database._statement

    def no_room(self: Database, work: Callable[[sqlite3.Connection], Any], writing: bool) -> Any:
        if writing and self.path.name == "store.db" and (self.path.parent / "full").exists():

            def work(db: sqlite3.Connection) -> Any:
                raise sqlite3.OperationalError("database or disk is full")

        return statement(self, work, writing)

    Database._statement = no_room  # type: ignore[method-assign]


def quick_collector() -> None:
    """Not a mutant: the bytes of deleted files are gone within a second, not within a minute."""
    filing.EVERY_SECONDS = 1.0


def little_room() -> None:
    """Not a mutant: see `small_disk`, where nothing can be mounted."""
    quick_collector()

    def disk_usage(files: Path) -> SimpleNamespace:
        every = (path for path in files.parent.rglob("*") if path.is_file())
        return SimpleNamespace(free=LITTLE_ROOM - sum(path.stat().st_size for path in every))

    shutil.disk_usage = disk_usage  # type: ignore[assignment]


def command(name: str) -> list[str]:
    """Return the command that starts this product instead of the right one."""
    return [sys.executable, "-m", "tests.faults.launch", name]


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    products = (
        unsynced,
        early,
        full_store,
        contents_swapped,
        quick_collector,
        little_room,
    )
    {product.__name__: product for product in products}[sys.argv.pop(1)]()
    main()
