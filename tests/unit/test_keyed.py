"""Work by key."""

import asyncio
import logging

import pytest

from chat4all.concurrency.keyed import BoundedTurns, KeyedWork
from chat4all.concurrency.outages import OutageLog
from chat4all.domain.errors import Overloaded, Unavailable

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


async def test_a_cancellation_from_inside_is_a_failure_as_any_other() -> None:
    """Fails when a `CancelledError` of something that was awaited ends the work in silence."""
    begun: list[str] = []
    again = asyncio.Event()

    async def cancelled_once(key: str) -> None:
        begun.append(key)
        if len(begun) > 1:
            again.set()
            return
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()
        await inner

    work = KeyedWork(cancelled_once, OUTAGES, at_once=2, rest_seconds=0.001)
    work.mark("a")
    async with asyncio.timeout(5):
        await again.wait()
    await work.close()


async def test_it_goes_on_when_it_does_for_every_key(caplog: pytest.LogCaptureFixture) -> None:
    """Fails when what works for one key is taken for the end of an outage of another."""
    caplog.set_level(logging.INFO)
    is_broken = True

    async def work_of(key: str) -> None:
        if key == "broken" and is_broken:
            raise Unavailable("not now")

    def said() -> list[str]:
        return [record.message for record in caplog.records]

    outages = OutageLog(logging.getLogger("keyed"), "it fails", "it goes on")
    work = KeyedWork(work_of, outages, at_once=2, rest_seconds=60)
    for key in ("broken", "a", "broken", "b"):
        work.mark(key)
        await turns()
    assert said() == ["it fails"]
    is_broken = False
    work.mark("broken")
    await turns()
    assert said() == ["it fails", "it goes on"]
    is_broken = True
    work.mark("broken")
    await turns()
    work.forget("broken")  # nobody waits for it any more
    work.mark("a")
    await turns()
    assert said() == ["it fails", "it goes on"] * 2
    await work.close()


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


async def test_turns_of_one_key_come_one_after_another_and_are_bounded() -> None:
    bounded = BoundedTurns[str](2, 30, "requests wait")
    order = list[str]()

    async def take(name: str, key: str, ends: asyncio.Event) -> None:
        async with bounded.of(key):
            order.append(name)
            await ends.wait()

    ends = [asyncio.Event() for _ in range(3)]
    tasks = [
        asyncio.create_task(take(name, key, end))
        for name, key, end in zip(("a1", "a2", "b1"), "aab", ends, strict=True)
    ]
    await turns()
    assert order == ["a1", "b1"]
    with pytest.raises(Overloaded, match="too many requests wait"):
        await take("a3", "a", ends[0])
    ends[0].set()
    await turns()
    assert order == ["a1", "b1", "a2"]
    for end in ends:
        end.set()
    await asyncio.gather(*tasks)
    assert not bounded._of  # nothing is kept of those who have gone


async def test_a_timeout_of_the_work_itself_is_nobodys_turn_that_failed() -> None:
    bounded = BoundedTurns[str](2, 30, "requests wait")
    with pytest.raises(TimeoutError):
        async with bounded.of("a"):
            raise TimeoutError


async def test_a_turn_ends_when_its_seconds_are_over() -> None:
    """Or else the next one would wait as long as this one works."""
    bounded = BoundedTurns[str](2, 0.05, "requests wait")
    with pytest.raises(Overloaded, match="too many requests wait"):
        async with bounded.of("a"):
            await asyncio.Event().wait()
    async with bounded.of("a"):
        pass
