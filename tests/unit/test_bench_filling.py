"""The direct fill of a store gives the rows that the router writes."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.filling import fill_log, fill_store
from bench.router import TABLES, insert, route
from chat4all.adapters.embedded import EmbeddedConsumer, EmbeddedLog, EmbeddedStore
from chat4all.router.loop import POLL_MAX

COUNT = POLL_MAX + 200


def rows(store: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(store)) as db:
        found = {
            name: db.execute(f"SELECT * FROM {name} ORDER BY {order}").fetchall()
            for name, order in TABLES.items()
        }
        return {**found, "followed": db.execute('SELECT "offset" FROM followed_log').fetchall()}


async def opened(folder: Path) -> None:
    """Make both files, and check that they belong together."""
    log, store = EmbeddedLog(folder / "log.db"), EmbeddedStore(folder / "store.db")
    await log.open()
    await store.open()
    try:
        await EmbeddedConsumer(log, store).check()
    finally:
        await store.close()
        await log.close()


def test_the_direct_fill_is_what_the_router_would_write(tmp_path: Path) -> None:
    routed, direct = tmp_path / "routed", tmp_path / "direct"
    for folder in (routed, direct):
        folder.mkdir()
        asyncio.run(opened(folder))
    fill_log(routed / "log.db", COUNT)
    assert asyncio.run(route(routed / "log.db", routed / "store.db")) > 0
    fill_store(direct, COUNT)
    wanted = rows(routed / "store.db")
    assert len(wanted["messages"]) == COUNT
    assert rows(direct / "store.db") == wanted
    # The product starts on it: to the log's end everything is stored.
    asyncio.run(opened(direct))


def test_bare_inserts_are_of_the_same_rows(tmp_path: Path) -> None:
    asyncio.run(opened(tmp_path))
    fill_log(tmp_path / "log.db", COUNT, with_markers=False)
    asyncio.run(route(tmp_path / "log.db", tmp_path / "store.db"))
    count, seconds = insert(tmp_path / "store.db", tmp_path / "bare.db")
    found, wanted = rows(tmp_path / "bare.db"), rows(tmp_path / "store.db")
    assert {name: found[name] for name in TABLES} == {name: wanted[name] for name in TABLES}
    assert count == sum(len(wanted[name]) for name in TABLES)
    assert seconds > 0
