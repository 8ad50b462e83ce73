"""Reads that share a switch to a thread: each caller gets its own answer, in time."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chat4all.adapters.embedded import reads as reads_module
from chat4all.adapters.embedded.reads import Reads
from chat4all.domain.errors import Overloaded, Unavailable

pytestmark = pytest.mark.anyio

THREADS = 2


class Counting(ThreadPoolExecutor):
    """Counts what is given to its threads."""

    given = 0

    def submit(self, *rest: Any, **more: Any) -> Any:
        self.given += 1
        return super().submit(*rest, **more)


@asynccontextmanager
async def reading(
    fetch: Callable[[str, Mapping[str, object]], Any], *, patience: float = 10
) -> AsyncIterator[tuple[Reads, Counting]]:
    executor = Counting(THREADS)
    reads = Reads("x.db", executor, THREADS, fetch, patience)
    yield reads, executor
    await reads.close()
    await asyncio.to_thread(executor.shutdown)


class Gate:
    """A fetch that answers with its query, but not before it may."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.fetched: list[str] = []

    def __call__(self, query: str, values: Mapping[str, object]) -> str:
        assert self.open.wait(10)
        self.fetched.append(query)
        return query


async def test_everybody_gets_their_own_answer_or_error() -> None:
    def fetch(query: str, values: Mapping[str, object]) -> object:
        if values["n"] == 7:
            raise Unavailable("seven")
        return query, values["n"]

    async with reading(fetch) as (reads, _):
        asked = [reads.fetch("q", {"n": n}) for n in range(200)]
        found = await asyncio.gather(*asked, return_exceptions=True)
    assert str(found.pop(7)) == "seven"
    assert found == [("q", n) for n in range(200) if n != 7]


async def test_what_waits_shares_one_way_there() -> None:
    gate = Gate()
    async with reading(gate) as (reads, executor):
        asked = [asyncio.ensure_future(reads.fetch(str(n), {})) for n in range(60)]
        await asyncio.sleep(0)
        gate.open.set()
        assert await asyncio.gather(*asked) == [str(n) for n in range(60)]
        assert executor.given == THREADS


async def test_other_work_of_the_threads_gets_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads_module, "READS_PER_TURN", 5)
    gate = Gate()
    async with reading(gate) as (reads, executor):
        asked = [asyncio.ensure_future(reads.fetch(str(n), {})) for n in range(100)]
        await asyncio.sleep(0)
        other = asyncio.get_running_loop().run_in_executor(executor, lambda: len(gate.fetched))
        gate.open.set()
        assert await other <= 5 * THREADS
        await asyncio.gather(*asked)


async def test_too_many_are_refused_and_who_has_gone_is_not_read_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reads_module, "WAITING_MAX", 5)
    gate = Gate()
    async with reading(gate) as (reads, _):
        asked = []
        for n in range(THREADS + 5):
            asked.append(asyncio.ensure_future(reads.fetch(str(n), {})))
            await asyncio.sleep(0)
            async with asyncio.timeout(10):
                while n < THREADS and len(reads._waiting) > 0:  # until a thread has it
                    await asyncio.sleep(0.001)
        with pytest.raises(Overloaded):
            await reads.fetch("one more", {})
        asked.pop(4).cancel()
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(*asked)
    assert sorted(gate.fetched) == ["0", "1", "2", "3", "5", "6"]


async def test_one_that_hangs_is_unavailable_and_holds_up_nobody() -> None:
    hanging = threading.Event()

    def fetch(query: str, values: Mapping[str, object]) -> str:
        assert query != "hangs" or hanging.wait(10)
        return query

    async with reading(fetch, patience=0.2) as (reads, _):
        hangs = asyncio.ensure_future(reads.fetch("hangs", {}))
        while not hangs.done():
            assert await reads.fetch("quick", {}) == "quick"
        with pytest.raises(Unavailable, match=r"x\.db does not answer"):
            await hangs
        hanging.set()
        assert await reads.fetch("quick", {}) == "quick"


async def test_closing_answers_what_waits() -> None:
    gate = Gate()
    async with reading(gate) as (reads, _):
        asked = [asyncio.ensure_future(reads.fetch(str(n), {})) for n in range(500)]
        await asyncio.sleep(0)
        gate.open.set()
    assert len(await asyncio.gather(*asked)) == 500
