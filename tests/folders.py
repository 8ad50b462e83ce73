"""Data folders for tests of the operator's commands, made by the product's own parts."""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from chat4all.adapters.crypto import load_or_make_secret
from chat4all.adapters.embedded import EmbeddedConsumer, EmbeddedFeed, EmbeddedLog, EmbeddedStore
from chat4all.adapters.embedded.folder import DATABASES
from chat4all.adapters.installation import MARKER, begin
from chat4all.adapters.private_files import open_private
from chat4all.adapters.sql import Database, upgrade
from chat4all.router.loop import Router
from tests.records import CHATS, record

POISON = b'{"type": "chat_message", "content": "\\ud800"}'


def make_folder(folder: Path, values: Sequence[bytes] = (), *, routed: bool = True) -> Path:
    """Make a data folder whose log has these records, routed or not."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    load_or_make_secret(folder / "secret-key")
    installation = begin(folder / MARKER, [folder / name for name in DATABASES])
    with os.fdopen(open_private(folder / "metadata.db"), "wb") as file:
        file.write(_empty_directory())
    asyncio.run(_make(folder, values, routed))
    installation.complete()
    return folder


@cache
def _empty_directory() -> bytes:
    """Return a directory's file; made once, because its migrations take their time."""

    async def make(path: Path) -> None:
        directory = Database(path)
        await upgrade(directory)
        await directory.close()

    with TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.db"
        asyncio.run(make(path))
        return path.read_bytes()


async def _make(folder: Path, values: Sequence[bytes], routed: bool) -> None:
    log, store = EmbeddedLog(folder / "log.db"), EmbeddedStore(folder / "store.db")
    await log.open()
    await store.open()
    try:
        for value in values:
            await log.append(CHATS[0], value)
        consumer = EmbeddedConsumer(log, store, wait_seconds=0.01)
        await consumer.check()
        if routed:
            router = Router(consumer, store, store, EmbeddedFeed())
            running = asyncio.ensure_future(router.run())
            while store.committed < await log.end():
                await router.ping()
                await asyncio.sleep(0.001)
            router.stop()
            await running
    finally:
        await log.close()
        await store.close()


def route(folder: Path) -> None:
    """Route what the log of a folder has."""
    asyncio.run(_make(folder, (), True))


def with_poison(folder: Path) -> Path:
    """Make a folder with a poison record between two good ones."""
    return make_folder(folder, [record("before"), POISON, record("after")])


def change(path: Path, statement: str) -> None:
    """Change a file in a way that the product would not."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)


def history(folder: Path) -> list[tuple[int, str]]:
    """Return number and content of every message of the first chat."""
    with closing(sqlite3.connect(folder / "store.db")) as db:
        return db.execute(
            "SELECT seq, content FROM messages WHERE conversation_id = ? ORDER BY seq", (CHATS[0],)
        ).fetchall()
