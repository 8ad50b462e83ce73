"""What is particular to one machine: two files, one owner, and disks that fail (EXACTNESS 21)."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.caching import OutboxFollower
from chat4all.adapters.caching.cache import Cache
from chat4all.adapters.embedded import (
    DataFolder,
    EmbeddedConsumer,
    EmbeddedLog,
    EmbeddedStore,
    database,
)
from chat4all.adapters.embedded import log as log_module
from chat4all.adapters.embedded.database import ROWS_MAX
from chat4all.domain.errors import OutcomeUnknown, Overloaded, StartRefused, Unavailable
from chat4all.domain.ids import LogPosition
from chat4all.ports.outbox import OutboxPage, Subject
from chat4all.ports.store import StoreBatch
from tests.records import CHATS, record

# Tests that are not coroutines pass this mark over.
pytestmark = pytest.mark.anyio


async def opened(folder: Path, **more: Any) -> tuple[EmbeddedLog, EmbeddedStore]:
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    log = EmbeddedLog(folder / "log.db", **more)
    store = EmbeddedStore(folder / "store.db")
    await log.open()
    await store.open()
    return log, store


async def closed(*parts: EmbeddedLog | EmbeddedStore) -> None:
    for part in parts:
        await part.close()


async def test_every_commit_is_synced(tmp_path: Path) -> None:
    log, store = await opened(tmp_path)
    for part in (log, store):
        for pragma, value in (("synchronous", 2), ("journal_mode", "wal")):
            found = await part._database.write(
                lambda db, p=pragma: db.execute(f"PRAGMA {p}").fetchone()[0]  # type: ignore[misc]
            )
            assert found == value
    await closed(log, store)


async def test_many_appends_share_a_commit(tmp_path: Path) -> None:
    log, store = await opened(tmp_path)
    commits = 0
    real = log._database.write_one

    async def write_one(statement: str, values: Sequence[object]) -> int:
        nonlocal commits
        commits += 1
        return await real(statement, values)

    log._database.write_one = write_one  # type: ignore[method-assign]
    await asyncio.gather(*[log.append(CHATS[0], b"x") for _ in range(400)])
    assert commits <= 400 // ROWS_MAX + 1
    await closed(log, store)


async def test_offsets_of_trimmed_records_are_not_given_out_again(tmp_path: Path) -> None:
    log, store = await opened(tmp_path)
    for n in range(3):
        await log.append(CHATS[0], b"%d" % n)
    future = time.time_ns() // 1_000_000 + 60_000
    assert await log.trim(before_ms=future, through=2) == 2
    assert await log.trim(before_ms=0, through=3) == 0
    assert await log.trim(before_ms=future, through=3) == 1
    assert await log.read(0, 10) == []
    assert await log.end() == 3
    assert await log.append(CHATS[0], b"x") == LogPosition(0, 0, 4)
    await closed(log, store)
    log, store = await opened(tmp_path)
    assert await log.append(CHATS[0], b"x") == LogPosition(0, 0, 5)
    await closed(log, store)


async def test_a_clock_that_is_set_back_takes_the_order_back_in_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stamp that is compared with an id's time is the clock's; the one for the order is not."""
    log, store = await opened(tmp_path)
    clock = [9_000, 5_000, 5_000, 9_500]
    for now_ms in clock:
        monkeypatch.setattr(time, "time_ns", lambda now_ms=now_ms: now_ms * 1_000_000)
        await log.append(CHATS[0], b"x")
    records = await log.read(0, 10)
    assert [r.appended_ms for r in records] == clock
    assert [r.order_ms for r in records] == [9_000, 9_001, 9_002, 9_500]
    await closed(log, store)
    monkeypatch.setattr(time, "time_ns", lambda: 7_000 * 1_000_000)
    log, store = await opened(tmp_path)
    await log.append(CHATS[0], b"x")
    assert [r.order_ms for r in await log.read(4, 10)] == [9_501]
    assert log.order_ms() == 9_502
    await closed(log, store)


async def test_a_store_is_filled_from_one_log_only(tmp_path: Path) -> None:
    log, store = await opened(tmp_path / "one")
    await EmbeddedConsumer(log, store).check()
    await closed(log, store)
    other_log, other_store = await opened(tmp_path / "two")
    await EmbeddedConsumer(other_log, other_store).check()
    await closed(other_log, other_store)
    (tmp_path / "two" / "log.db").rename(tmp_path / "one" / "log.db")
    log, store = await opened(tmp_path / "one")
    with pytest.raises(StartRefused, match="do not belong together"):
        await EmbeddedConsumer(log, store).check()
    await closed(log, store)


async def test_a_log_that_ends_before_the_stored_offset_stops_the_start(tmp_path: Path) -> None:
    log, store = await opened(tmp_path)
    consumer = EmbeddedConsumer(log, store)
    await consumer.check()
    await log.append(CHATS[0], b"x")
    await consumer.commit([LogPosition(0, 0, 1)])
    await consumer.check()
    await consumer.commit([LogPosition(0, 0, 2)])
    with pytest.raises(StartRefused, match="older than"):
        await consumer.check()
    await closed(log, store)


async def test_a_consumer_goes_on_behind_what_was_committed(tmp_path: Path) -> None:
    log, store = await opened(tmp_path)
    for n in range(5):
        await log.append(CHATS[0], b"%d" % n)
    first = EmbeddedConsumer(log, store, wait_seconds=0)
    assert [r.value for r in (await first.poll(2)).records] == [b"0", b"1"]
    await first.commit([LogPosition(0, 0, 2)])
    assert [r.value for r in (await first.poll(2)).records] == [b"2", b"3"]
    # Nothing of the second poll was committed.
    again = EmbeddedConsumer(log, store, wait_seconds=0)
    assert [r.value for r in (await again.poll(9)).records] == [b"2", b"3", b"4"]
    assert (await again.poll(9)).records == []
    # The store keeps the offset with what it stores; a smaller one later does not take it back.
    await store.write(StoreBatch(through=[LogPosition(0, 0, 5)]))
    await again.commit([LogPosition(0, 0, 3)])
    assert (await EmbeddedConsumer(log, store, wait_seconds=0).poll(9)).records == []
    await closed(log, store)


async def test_a_poll_wakes_up_when_something_is_appended(tmp_path: Path) -> None:
    log, store = await opened(tmp_path)
    polling = asyncio.ensure_future(EmbeddedConsumer(log, store, wait_seconds=30).poll(9))
    await log.append(CHATS[0], b"x")
    async with asyncio.timeout(10):
        records = (await polling).records or (
            await EmbeddedConsumer(log, store, wait_seconds=30).poll(9)
        ).records
    assert len(records) == 1
    await closed(log, store)


async def test_what_was_appended_before_the_wait_ends_it_at_once(tmp_path: Path) -> None:
    """Fails when `wait` clears before it waits: a record that came during the last poll would lie
    there until the wait is over."""
    log, store = await opened(tmp_path)
    await log.append(CHATS[0], b"x")
    async with asyncio.timeout(10):
        await log.wait(60)
        waiting = asyncio.ensure_future(log.wait(60))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done(), "it was told of that record before"
        log.notify()
        await waiting
        await log.wait(0.001)
    await closed(log, store)


async def test_a_locked_log_is_an_unknown_outcome_and_comes_back(tmp_path: Path) -> None:
    log, store = await opened(tmp_path, busy_seconds=0.1)
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutcomeUnknown, match="locked"):
        await log.append(CHATS[0], b"x")
    with pytest.raises(Unavailable):
        await log.ping()
    other.execute("ROLLBACK")
    other.close()
    assert await log.append(CHATS[0], b"x") == LogPosition(0, 0, 1)
    await closed(log, store)


async def test_a_log_that_hangs_is_an_unknown_outcome_within_its_deadline(tmp_path: Path) -> None:
    log, store = await opened(tmp_path, deadline=0.2)
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    first = asyncio.ensure_future(log.append(CHATS[0], b"first"))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(log.append(CHATS[0], b"second"))
    for waiting in (first, second):
        with pytest.raises(OutcomeUnknown, match="in time"):
            await waiting
    other.execute("ROLLBACK")
    other.close()
    await log.append(CHATS[0], b"third")
    # The first was on its way and may land; the second was still in the queue and was taken out.
    assert b"second" not in [r.value for r in await log.read(0, 10)]
    await closed(log, store)


async def test_a_call_that_is_cancelled_as_it_ends_is_cancelled(tmp_path: Path) -> None:
    """A task that went on after that would hold up the end of the process."""
    log, store = await opened(tmp_path)
    go = threading.Event()
    calling = asyncio.create_task(log._database.write(lambda _: go.wait(10)))
    await asyncio.sleep(0)
    go.set()
    log._database._writer.submit(int).result()  # so the call before it has ended
    await asyncio.sleep(0)  # the loop knows, the task was not told yet
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await closed(log, store)


async def test_a_full_queue_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "QUEUE_MAX", 5)
    log, store = await opened(tmp_path)
    waiting = [asyncio.ensure_future(log.append(CHATS[0], b"x")) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await log.append(CHATS[0], b"x")
    assert len(await asyncio.gather(*waiting)) == 5
    await closed(log, store)


async def test_closing_commits_what_waits(tmp_path: Path) -> None:
    log, store = await opened(tmp_path)
    waiting = [asyncio.ensure_future(log.append(CHATS[0], record())) for _ in range(1_500)]
    await asyncio.sleep(0)
    await closed(log, store)
    assert len(await asyncio.gather(*waiting)) == 1_500


@pytest.mark.parametrize("name", ["log.db", "store.db"])
async def test_data_of_a_newer_version_stops_the_start(tmp_path: Path, name: str) -> None:
    await closed(*await opened(tmp_path))
    db = sqlite3.connect(tmp_path / name)
    db.execute("PRAGMA user_version = 99")
    db.close()
    parts = EmbeddedLog(tmp_path / "log.db"), EmbeddedStore(tmp_path / "store.db")
    spoilt, _ = parts if name == "log.db" else parts[::-1]
    with pytest.raises(StartRefused, match="newer Chat4All"):
        await spoilt.open()
    await closed(*parts)


async def test_a_file_that_is_no_database_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"not a database at all" * 100)
    log = EmbeddedLog(tmp_path / "log.db")
    with pytest.raises(StartRefused, match="not a database"):
        await log.open()
    await closed(log)


def test_a_data_folder_has_one_owner(tmp_path: Path) -> None:
    holds = (
        "import sys, pathlib\n"
        "from chat4all.adapters.embedded import DataFolder\n"
        "with DataFolder(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        second = DataFolder(tmp_path, patience=0.1)
        with pytest.raises(StartRefused, match="in use by another Chat4All"), second:
            pass
        other.kill()
    with DataFolder(tmp_path) as folder:
        assert folder.begin().is_new


@pytest.mark.parametrize("place", ["/proc/nothing/here", "/dev/null/data"])
async def test_a_folder_that_cannot_be_written_stops_the_start(place: str) -> None:
    with pytest.raises(StartRefused, match="cannot be written"), DataFolder(Path(place)):
        pass


async def test_a_new_folder_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with DataFolder(tmp_path / "a" / "b") as folder:
            assert folder.path.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(old)


class _NoChanges:
    async def after(self, position: int | None) -> OutboxPage:
        return OutboxPage(0, (), complete=True)


async def followed() -> OutboxFollower:
    follower = OutboxFollower(_NoChanges(), clock=lambda: 0.0)
    await follower.poll()
    return follower


async def test_an_answer_that_was_overtaken_by_a_change_is_not_kept() -> None:
    truth = "before"
    asked = asyncio.Event()
    answer = asyncio.Event()

    async def load(key: str) -> str:
        found = truth
        asked.set()
        await answer.wait()
        return found

    kept: Cache[str, str] = Cache(load, Subject.USER, await followed())
    reading = asyncio.ensure_future(kept.get("key"))
    await asked.wait()
    truth = "after"
    kept.drop("key")
    answer.set()
    assert await reading == "before"
    assert await kept.get("key") == "after"


async def test_an_answer_is_kept_until_it_is_forgotten() -> None:
    asked = 0

    async def load(key: str) -> int:
        nonlocal asked
        asked += 1
        return asked

    kept: Cache[str, int] = Cache(load, Subject.USER, await followed())
    assert [await kept.get("key") for _ in range(3)] == [1, 1, 1]
    kept.drop("another key")
    assert await kept.get("key") == 1
    kept.drop("key")
    assert [await kept.get("key") for _ in range(2)] == [2, 2]


async def test_the_write_ahead_log_starts_anew_while_there_are_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECKPOINT_SECONDS", 0.0)
    log = EmbeddedLog(tmp_path / "log.db")
    await log.open()
    for _ in range(100):
        await log.append(CHATS[0], b"x" * 60_000)
    # Never moved into the file, it would hold all six megabytes.
    assert (tmp_path / "log.db-wal").stat().st_size < 1_000_000
    assert await log.end() == 100
    await log.close()
