"""Retries, periodic work, bounded waiting and the log of an outage."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from itertools import islice

import pytest

from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.periodic import periodically, rest_after
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import Overloaded, Unavailable

pytestmark = pytest.mark.anyio

log = logging.getLogger("chat4all.test")


async def test_a_slot_that_comes_free_too_late_is_not_lost() -> None:
    """Fails when a slot taken at the deadline is kept: after a hang nothing is ever begun again."""
    waiting = BoundedWaiting(2_000, 0.05, "calls", slots=4)

    async def hang() -> None:
        with suppress(TimeoutError):
            async with waiting.turn() as seconds:
                await asyncio.sleep(seconds)

    await asyncio.gather(*(hang() for _ in range(1_000)))
    with pytest.raises(TimeoutError):
        async with waiting.turn(spent=0.05):
            raise AssertionError
    async with AsyncExitStack() as stack, asyncio.timeout(1):
        for _ in range(4):
            assert await stack.enter_async_context(waiting.turn()) > 0


def failing(*errors: Exception) -> Callable[[], Awaitable[str]]:
    """Return a step that raises these errors, one a try, and then returns."""
    left = list(errors)

    async def step() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return step


async def no_rest(_: float) -> None:
    await asyncio.sleep(0)


# Retrying.


def test_delays_double_up_to_a_bound_and_jitter_stays_within_its_share() -> None:
    for jitter in (0.0, 0.5, 1.0):
        for _ in range(100):
            delays = list(islice(Backoff(0.1, 1.0, jitter=jitter).delays(), 6))
            for delay, most in zip(delays, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0], strict=True):
                assert (1 - jitter) * most <= delay <= most
    assert len({next(Backoff(1, 1).delays()) for _ in range(20)}) > 10


async def test_the_first_try_that_succeeds_is_the_result_and_each_failure_is_told() -> None:
    told: list[str] = []
    errors = Unavailable("one"), Unavailable("two")
    result = await retry(
        failing(*errors), Backoff(0, 0), on_failure=lambda e: told.append(str(e)), sleep=no_rest
    )
    assert result == "done"
    assert told == ["one", "two"]


async def test_tries_are_bounded_and_the_last_error_is_raised() -> None:
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    errors = [Unavailable(str(n)) for n in range(9)]
    with pytest.raises(Unavailable, match="2"):
        await retry(failing(*errors), Backoff(0.1, 1, tries=3), sleep=rest)
    assert len(rests) == 2  # none after the last try


async def test_what_is_not_temporary_is_raised_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        await retry(failing(ZeroDivisionError()), Backoff(0, 0))
    step = failing(ZeroDivisionError(), Unavailable(""))
    with pytest.raises(Unavailable):
        await retry(step, Backoff(0, 0), is_temporary=lambda e: isinstance(e, ArithmeticError))


async def test_no_try_begins_after_the_deadline() -> None:
    async def never() -> None:
        raise Unavailable("away")

    began = time.monotonic()
    with pytest.raises(Unavailable, match="away"):
        await retry(never, Backoff(0.01, 0.01), seconds=0.1)
    assert 0.1 <= time.monotonic() - began < 5


async def test_what_the_rest_raises_ends_it() -> None:
    async def stop(_: float) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await retry(failing(Unavailable("")), Backoff(0, 0), sleep=stop)


# The log of an outage.


def test_each_cause_is_logged_once_until_all_is_well_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    outages = OutageLog(log, "it fails", "it works again", part="x")
    outages.succeeded()
    for cause in ("one", "two", "one"):
        outages.failed(Unavailable(cause))
    outages.succeeded()
    outages.failed(Unavailable("one"))
    lines = [(record.message, getattr(record, "cause", None)) for record in caplog.records]
    assert lines == [
        ("it fails", "one"),
        ("it fails", "two"),
        ("it works again", None),
        ("it fails", "one"),
    ]
    assert {vars(record)["part"] for record in caplog.records} == {"x"}
    assert {record.levelno for record in caplog.records} == {logging.WARNING, logging.INFO}


def test_a_defect_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    outages = OutageLog(log, "it fails")
    for _ in range(3):
        outages.failed(ZeroDivisionError("odd"))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


# Periodic work.


async def test_periodic_work_survives_any_error_and_ends_with_its_context(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "chat4all.concurrency.periodic")
    errors: list[Exception | None] = [Unavailable("away"), RuntimeError("odd"), None]
    runs = 0
    done = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs > 5:
            done.set()
        if error := errors[min(runs - 1, 2)]:
            raise error

    async with periodically("test", work, 0.001), asyncio.timeout(10):
        await done.wait()
    before = runs
    await asyncio.sleep(0.02)
    assert runs == before
    assert [record.message for record in caplog.records] == [
        "periodic work fails",
        "periodic work fails",
        "periodic work goes on",
    ]


def test_the_period_counts_the_work_and_leaves_a_rest() -> None:
    assert [rest_after(took, 10.0) for took in (0.0, 4.0, 60.0)] == [10.0, 6.0, 2.0]


# Bounded waiting.


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


async def test_one_caller_too_many_is_refused_at_once(threads: ThreadPoolExecutor) -> None:
    waiting = BoundedWaiting(2, 10.0, "calls wait for x")
    go = threading.Event()
    both = [asyncio.ensure_future(waiting.in_thread(threads, go.wait, 10)) for _ in range(2)]
    with pytest.raises(Overloaded, match=r"^too many calls wait for x$"):
        await waiting.in_thread(threads, go.wait, 10)
    with pytest.raises(Overloaded):
        await waiting.outlasting(no_work)
    with pytest.raises(Overloaded):
        async with waiting.turn():
            pass
    go.set()
    assert await asyncio.gather(*both) == [True, True]
    assert await waiting.in_thread(threads, go.wait, 10)


async def no_work() -> None:
    raise AssertionError("it was refused")


async def test_work_in_a_thread_that_has_not_begun_in_time_never_begins(
    threads: ThreadPoolExecutor,
) -> None:
    waiting = BoundedWaiting(2, 0.05, "calls")
    go, begun = threading.Event(), threading.Event()
    results = await asyncio.gather(
        waiting.in_thread(threads, go.wait, 10),
        waiting.in_thread(threads, begun.set),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [TimeoutError, TimeoutError]
    # The one that runs goes on and counts; the other one counts no more.
    with pytest.raises(TimeoutError):
        await waiting.in_thread(threads, begun.set)
    go.set()
    async with asyncio.timeout(10):
        while True:
            try:
                assert await waiting.in_thread(threads, begun.is_set) is False
                break
            except (TimeoutError, Overloaded):
                await asyncio.sleep(0)


async def test_work_whose_caller_is_cancelled_goes_on_and_counts(
    threads: ThreadPoolExecutor,
) -> None:
    waiting = BoundedWaiting(1, 10.0, "calls")
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go.wait(10)
        ended.set()

    caller = asyncio.ensure_future(waiting.in_thread(threads, work))
    assert await asyncio.to_thread(begun.wait, 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    with pytest.raises(Overloaded):
        await waiting.in_thread(threads, work)
    go.set()
    assert await asyncio.to_thread(ended.wait, 10)


async def test_a_task_outlasts_its_caller() -> None:
    waiting = BoundedWaiting(1, 0.01, "calls")
    go, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        ended.set()
        raise ZeroDivisionError  # nobody is there to hear of it

    with pytest.raises(TimeoutError):
        await waiting.outlasting(work)
    with pytest.raises(Overloaded):
        await waiting.outlasting(work)
    go.set()
    async with asyncio.timeout(10):
        await ended.wait()


async def test_the_wait_for_a_slot_is_part_of_the_deadline() -> None:
    waiting = BoundedWaiting(100, 0.3, "calls", slots=2)
    begun = 0

    async def hang(seconds: float) -> float:
        nonlocal begun
        async with waiting.turn() as left:
            begun += 1
            await asyncio.sleep(seconds)
            return left

    # All slots hang for longer than anybody may wait: nobody behind them waits for them.
    began = time.monotonic()
    holding = [asyncio.ensure_future(hang(60)) for _ in range(2)]
    results = await asyncio.gather(*(hang(60) for _ in range(50)), return_exceptions=True)
    assert {type(result) for result in results} == {TimeoutError}
    assert time.monotonic() - began < 3
    assert begun == 2
    for task in holding:
        task.cancel()
    await asyncio.gather(*holding, return_exceptions=True)
    # A slot that is free at once leaves all the time; one that was waited for, the rest of it.
    lefts = await asyncio.gather(*(hang(0.1) for _ in range(4)))
    assert lefts[:2] == [0.3, 0.3]
    assert all(0 < left < 0.25 for left in lefts[2:])
