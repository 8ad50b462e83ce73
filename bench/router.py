"""What the router stores a second, as a ratio to bare inserts of the same rows.

The router is the product's, on a log that holds all its records already: from the first poll to the
last commit, in a process of its own. The bare side puts the rows that are in the store afterwards,
table by table, into an empty store of the same schema and pragmas: `executemany`, 100 rows a
transaction, in the order in which the router came to them. Rows that the router wrote more than
once (heads and markers move on with each batch) count once on both sides.
"""

import asyncio
import contextlib
import gc
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from chat4all.adapters.embedded import EmbeddedConsumer, EmbeddedFeed, EmbeddedLog, EmbeddedStore
from chat4all.domain.ids import LogPosition
from chat4all.ports.log import Poll
from chat4all.router.loop import Router

from .figures import Figure
from .filling import fill_log
from .quiet import Rounds, Say, quiet_rounds
from .running import BenchmarkFailed, call, module

MESSAGES = 20_000
TRANSACTION = 100
TABLES = {
    "messages": "log_offset",
    "message_ids": "log_offset",
    "read_markers": "conversation_id, username",
    "conversation_heads": "log_offset",
}
"""What the router writes, and the order of its rows."""


def measure(folder: Path, rounds: int, say: Say, *, messages: int = MESSAGES) -> Rounds:
    """Run."""
    template = folder / "router-log.db"
    say(f"filling a log with {messages:,} messages")
    asyncio.run(_make_log(template))
    fill_log(template, messages, with_markers=False)

    def one_round() -> Mapping[str, Any]:
        here = folder / "router"
        here.mkdir()
        try:
            shutil.copy(template, here / "log.db")
            routed = call(module("router", "route", str(here / "log.db"), str(here / "routed.db")))
            bare = call(module("router", "insert", str(here / "routed.db"), str(here / "bare.db")))
        finally:
            shutil.rmtree(here)
        if routed["messages"] != messages:
            raise BenchmarkFailed(f"the router stored {routed['messages']} of {messages} messages")
        found = {
            name: {
                "seconds": seconds,
                "rows_per_second": bare["rows"] / seconds,
                "messages_per_second": messages / seconds,
            }
            for name, seconds in (("router", routed["seconds"]), ("bare", bare["seconds"]))
        }
        say(
            f"bare {found['bare']['rows_per_second']:,.0f} rows/s, "
            f"router {found['router']['rows_per_second']:,.0f} rows/s "
            f"({bare['seconds'] / routed['seconds']:.2f} x), "
            f"{found['router']['messages_per_second']:,.0f} messages/s"
        )
        return {**found, "messages": messages, "rows": bare["rows"]}

    return quiet_rounds(one_round, rounds, say)


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bar."""
    middle = rounds.medians
    ours, theirs = (middle[key]["rows_per_second"] for key in ("router", "bare"))
    return [
        Figure(
            "router_to_bare",
            f"Router, to bare inserts, {TRANSACTION} rows a transaction",
            ours / theirs,
            0.5,
            True,
            ours=ours,
            theirs=theirs,
            of="rows/s",
        )
    ]


class Stopwatch:
    """A consumer that notes its first poll and ends the router at the log's last record."""

    def __init__(self, consumer: EmbeddedConsumer, end: int) -> None:
        self._consumer = consumer
        self.stop = consumer.stop
        self._end = end
        self.router: Router | None = None
        self.started = self.seconds = 0.0

    async def poll(self, limit: int) -> Poll:
        """Pass on; see `ports.LogConsumer`."""
        self.started = self.started or time.perf_counter()
        return await self._consumer.poll(limit)

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Pass on, and stop after the last one."""
        await self._consumer.commit(through)
        if max(position.offset for position in through) >= self._end:
            self.seconds = time.perf_counter() - self.started
            assert self.router is not None
            self.router.stop()


async def route(log_path: Path, store_path: Path) -> float:
    """Route a whole log into an empty store; return the seconds from first poll to last commit."""
    log, store = EmbeddedLog(log_path), EmbeddedStore(store_path)
    await log.open()
    await store.open()
    try:
        consumer = EmbeddedConsumer(log, store)
        await consumer.check()
        watch = Stopwatch(consumer, await log.end())
        watch.router = Router(watch, store, store, EmbeddedFeed())
        await watch.router.run()
        await watch.router.ping()
        return watch.seconds
    finally:
        await store.close()
        await log.close()


def insert(source: Path, target: Path) -> tuple[int, float]:
    """Put the rows of one store into another that is empty; return how many, and the seconds."""
    asyncio.run(_make_store(target))
    with contextlib.closing(sqlite3.connect(source)) as db:
        tables = {
            name: db.execute(f"SELECT * FROM {name} ORDER BY {order}").fetchall()
            for name, order in TABLES.items()
        }
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as db:
        # Those of the product's own connection; WAL is kept in the file.
        db.execute("PRAGMA synchronous = FULL")
        started = time.perf_counter()
        for name, rows in tables.items():
            statement = f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})"
            for first in range(0, len(rows), TRANSACTION):
                db.execute("BEGIN IMMEDIATE")
                db.executemany(statement, rows[first : first + TRANSACTION])
                db.execute("COMMIT")
        seconds = time.perf_counter() - started
    return sum(map(len, tables.values())), seconds


async def _make_log(path: Path) -> None:
    log = EmbeddedLog(path)
    await log.open()
    await log.close()


async def _make_store(path: Path) -> None:
    store = EmbeddedStore(path)
    await store.open()
    await store.close()


def main(what: str, source: Path, target: Path) -> None:
    """Run one side, and print what it took as JSON."""
    result: dict[str, float]
    if what == "route":
        # As in the product once it has started.
        sys.setswitchinterval(0.0005)
        gc.collect()
        gc.freeze()
        seconds = uvloop.run(route(source, target))
        with contextlib.closing(sqlite3.connect(target)) as db:
            (count,) = db.execute("SELECT count(*) FROM messages").fetchone()
        result = {"seconds": seconds, "messages": count}
    else:
        rows, seconds = insert(source, target)
        result = {"seconds": seconds, "rows": rows}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
