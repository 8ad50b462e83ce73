"""Work in bulk that gives way."""

import asyncio
import os
import threading

import pytest

from chat4all.concurrency import pacing
from chat4all.concurrency.background_threads import NICENESS, background_threads
from chat4all.concurrency.pacing import BURST_SECONDS, URGENT_SECONDS, Pace

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that only goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(pacing, "time", found)
    monkeypatch.setattr(pacing, "asyncio", found)
    return found


async def test_nothing_waits_without_urgent_work(clock: Clock) -> None:
    pace = Pace(100)
    await pace.take(1_000_000)
    pace.note_urgent()
    clock.now += URGENT_SECONDS
    await pace.take(1_000_000)
    assert not clock.slept


async def test_a_rate_is_kept_beside_urgent_work_by_all_together(clock: Clock) -> None:
    pace = Pace(100)
    pace.note_urgent()
    await asyncio.gather(*(pace.take(10) for _ in range(3)))
    first = 0.1 - BURST_SECONDS
    assert clock.slept == pytest.approx([first, first + 0.1, first + 0.2])


async def test_what_was_not_used_is_not_saved_up(clock: Clock) -> None:
    pace = Pace(100)
    pace.note_urgent()
    await pace.take(10)
    clock.now += 0.9
    pace.note_urgent()
    await pace.take(10)
    assert clock.slept == pytest.approx([0.1 - BURST_SECONDS] * 2)


def test_threads_for_bulk_come_last() -> None:
    with background_threads(1, "bulk") as threads:
        inside = threads.submit(
            lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        ).result(30)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert inside == min(own + NICENESS, 19)
