"""Waiting bounded in number and in time, where the wait for a turn counts (EXACTNESS 12a)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from math import inf
from typing import Any, TypeVar

from chat4all.domain.errors import Overloaded

T = TypeVar("T")

LEFT_MIN_SECONDS = 0.001


class BoundedWaiting:
    """At most `limit` callers wait at a time, each for at most `seconds`, the queue included.

    One more caller gets `Overloaded` at once. After `seconds` a caller gets `TimeoutError`, whether
    its work has begun or not; work that has not begun by then never begins. `inf`
    is no deadline. `slots` bounds how many `turn`s are held at a time. `what` completes the
    sentence "too many …", as in "calls wait for store.db".
    """

    def __init__(self, limit: int, seconds: float, what: str, *, slots: int | None = None) -> None:
        self.limit = limit
        self.seconds = seconds
        self._timeout = None if seconds == inf else seconds
        self._what = what
        self._slots = None if slots is None else asyncio.Semaphore(slots)
        self._count = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    def in_thread(
        self, executor: Executor, work: Callable[..., T], *arguments: object
    ) -> Coroutine[Any, Any, T]:
        """Submit `work` now, before anything is awaited; return a coroutine with its result.

        Work that is running when its caller is cancelled or times out continues to its end, and
        counts until then.
        """
        self._check()
        submitted = executor.submit(work, *arguments)
        ended = self._counted(asyncio.wrap_future(submitted))

        async def wait() -> T:
            try:
                return await self._result(ended)
            finally:
                submitted.cancel()  # does nothing once it has begun

        return wait()

    async def outlasting(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of `work`, run as a task that outlives its caller and counts.

        It has to end by itself.
        """
        self._check()
        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await self._result(self._counted(task))

    async def all_ended(self) -> None:
        """Wait for every task that outlasts its caller."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    @asynccontextmanager
    async def turn(self, spent: float = 0.0) -> AsyncIterator[float]:
        """Wait for a slot; yield the seconds left for the work, which must keep to them.

        `spent` is how many of them the caller has spent before.
        """
        self._check()
        self._count += 1
        try:
            if self._slots is None:
                yield _left(self.seconds - spent)
            else:
                left = await self._acquire(self._slots, self.seconds - spent)
                try:
                    yield left
                finally:
                    self._slots.release()
        finally:
            self._count -= 1

    async def _acquire(self, slots: asyncio.Semaphore, seconds: float) -> float:
        if slots.locked():
            began = time.monotonic()
            async with asyncio.timeout(None if seconds == inf else seconds):
                await slots.acquire()
            seconds -= time.monotonic() - began
        else:
            await slots.acquire()  # returns without waiting
        try:
            return _left(seconds)
        except TimeoutError:
            slots.release()  # or else it would be lost: nobody is in it
            raise

    def _check(self) -> None:
        if self._count >= self.limit:
            raise Overloaded(f"too many {self._what}")

    def _counted(self, work: "asyncio.Future[T]") -> "asyncio.Future[T]":
        self._count += 1
        work.add_done_callback(self._ended)
        return work

    def _ended(self, work: "asyncio.Future[Any]") -> None:
        self._count -= 1
        if not work.cancelled():
            work.exception()  # raised to its caller, or the caller is gone

    async def _result(self, work: "asyncio.Future[T]") -> T:
        # Not `wait_for`: neither a timeout nor a cancelled caller ends what is running.
        await asyncio.wait((work,), timeout=self._timeout)
        if not work.done():
            raise TimeoutError
        return work.result()


def _left(seconds: float) -> float:
    """Return the seconds that are left; `TimeoutError` if there are none."""
    if seconds < LEFT_MIN_SECONDS:
        raise TimeoutError
    return seconds
