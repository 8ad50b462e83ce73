"""Work by key."""

import asyncio
import logging

import pytest

from chat4all.concurrency.keyed import KeyedWork
from chat4all.concurrency.outages import OutageLog
from chat4all.domain.errors import Unavailable

pytestmark = pytest.mark.anyio

OUTAGES = OutageLog(logging.getLogger("keyed"), "it fails")


class Doing:
    """Work that ends when it is let."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def __call__(self, key: str) -> None:
        self.begun.append(key)
        await self.gates.setdefault(key, asyncio.Event()).wait()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_at_a_time_a_key_and_so_many_at_once() -> None:
    doing = Doing()
    work = KeyedWork(doing, OUTAGES, at_once=2)
    for key in ("a", "b", "c", "c"):
        work.mark(key)
    await turns()
    assert (doing.begun, len(work)) == (["a", "b"], 3)
    work.mark("a")  # anew, after this run
    doing.gates["a"].set()
    await turns()
    assert doing.begun == ["a", "b", "c"]
    doing.gates["b"].set()
    await turns()
    assert doing.begun == ["a", "b", "c", "a"]
    doing.gates["c"].set()
    await turns()
    assert len(work) == 0


async def test_what_fails_is_done_again_after_a_rest() -> None:
    done = asyncio.Event()
    tries = []

    async def fails_twice(key: str) -> None:
        tries.append(key)
        if len(tries) <= 2:
            raise Unavailable("not now")
        done.set()

    work = KeyedWork(fails_twice, OUTAGES, at_once=1, rest_seconds=0.001)
    work.mark("a")
    async with asyncio.timeout(5):
        await done.wait()
    assert tries == ["a"] * 3
    once = KeyedWork(fails_twice, OUTAGES, at_once=1)
    tries.clear()
    once.mark("b")
    await turns()
    assert (tries, len(once)) == (["b"], 0)


async def test_what_is_forgotten_is_cancelled_and_others_go_on() -> None:
    doing = Doing()
    work = KeyedWork(doing, OUTAGES, at_once=1)
    for key in ("a", "b", "c"):
        work.mark(key)
    await turns()
    work.forget("b")
    work.forget("a")
    await turns()
    assert doing.begun == ["a", "c"]
    await work.close()
    assert len(work) == 0
