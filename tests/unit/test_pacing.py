"""Work in bulk that gives way."""

import asyncio
import os
import threading

import pytest

from chat4all.concurrency import pacing
from chat4all.concurrency.background_threads import NICENESS, background_threads
from chat4all.concurrency.pacing import BURST_SECONDS, URGENT_SECONDS, Pace
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Headers
from chat4all.usecases.urgent_log import UrgentLog

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that a test puts forward."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(pacing, "time", found)
    return found


def test_nothing_waits_without_urgent_work(clock: Clock) -> None:
    pace = Pace(100)
    assert pace.pay(1_000_000) == 0
    with pace.urgent():
        pass
    clock.now += URGENT_SECONDS
    assert pace.pay(1_000_000) == 0


def test_a_rate_is_kept_beside_urgent_work_by_all_together(clock: Clock) -> None:
    pace = Pace(100)
    with pace.urgent():
        pass
    first = 0.1 - BURST_SECONDS
    assert [pace.pay(10) for _ in range(3)] == pytest.approx([first, first + 0.1, first + 0.2])


def test_what_was_not_used_is_not_saved_up(clock: Clock) -> None:
    pace = Pace(100)
    with pace.urgent():
        waited = [pace.pay(10)]
        clock.now += 0.9
        waited.append(pace.pay(10))
    assert waited == pytest.approx([0.1 - BURST_SECONDS] * 2)


async def test_a_message_is_urgent_for_as_long_as_it_takes(clock: Clock) -> None:
    """Fails when slow appends are urgent at their begin alone."""
    pace, may_end = Pace(100), asyncio.Event()

    class SlowLog:
        async def append(
            self, key: ConversationId, value: bytes, headers: Headers = ()
        ) -> LogPosition:
            await may_end.wait()
            raise Unavailable("no answer")

        def makes_fresh_ids(self) -> bool:
            return False

    log = UrgentLog(SlowLog(), pace)
    appends = [asyncio.create_task(log.append(ConversationId("c"), b"")) for _ in range(2)]
    await asyncio.sleep(0)
    appends[0].cancel()
    await asyncio.wait(appends[:1])
    clock.now += 10 * URGENT_SECONDS
    assert pace.pay(100) > 0
    may_end.set()
    await asyncio.gather(*appends, return_exceptions=True)
    clock.now += 0.9 * URGENT_SECONDS
    assert pace.pay(100) > 0
    clock.now += 0.1 * URGENT_SECONDS
    assert pace.pay(100) == 0


def test_threads_for_bulk_come_last() -> None:
    with background_threads(1, "bulk") as threads:
        inside = threads.submit(
            lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        ).result(30)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert inside == min(own + NICENESS, 19)
