"""Work by key: one task at a time for each key, a bounded number of them at once."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from functools import partial
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from chat4all.concurrency.cancelling import inner_cancellation_fails
from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import Overloaded

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """A lock for each key, for as long as anybody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[K, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: K) -> asyncio.Lock:
        """Return a key's lock, to be held by `async with`."""
        return self._locks.setdefault(key, asyncio.Lock())


class BoundedTurns(Generic[K]):
    """One turn at a time for each key: those of one key wait for each other, and for nobody else.

    At most `limit` of a key wait or have their turn, each for at most `seconds`, its work included;
    then they get `Overloaded`. `what` completes the sentence "too many …".
    """

    def __init__(self, limit: int, seconds: float, what: str) -> None:
        self._make = partial(BoundedWaiting, limit, seconds, what, slots=1)
        self._what = what
        self._of: WeakValueDictionary[K, BoundedWaiting] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, key: K) -> AsyncIterator[None]:
        """Wait for a turn of this key, which ends with the context."""
        waiting, deadline = self._of.setdefault(key, self._make()), None
        try:
            async with waiting.turn() as left, asyncio.timeout(left) as deadline:
                yield
        except TimeoutError:
            if deadline is None or deadline.expired():
                raise Overloaded(f"too many {self._what}") from None
            raise


class KeyedWork(Generic[K]):
    """Runs `work(key)` for each key that is marked; a key that is marked meanwhile is run anew.

    At most `at_once` keys run at a time, in the order in which they were marked; the others wait,
    each once. A run that raises is logged to `outages`, and begins anew after some `rest_seconds`;
    with None it does not. The outage is over when no key is left whose last run has raised.
    Marking is cheap and never waits; it needs a running event loop.
    """

    def __init__(
        self,
        work: Callable[[K], Awaitable[object]],
        outages: OutageLog,
        *,
        at_once: int,
        rest_seconds: float | None = None,
    ) -> None:
        self._work = work
        self._outages = outages
        self._at_once = at_once
        self._rest_seconds = rest_seconds
        self._waiting: dict[K, None] = {}
        self._running: dict[K, asyncio.Task[None]] = {}
        self._again: set[K] = set()
        self._resting: dict[K, asyncio.TimerHandle] = {}
        self._failing: set[K] = set()
        """Keys that are run anew because their last run has raised."""

    def __len__(self) -> int:
        """Return how many keys wait or run."""
        return len(self._waiting) + len(self._running)

    def mark(self, key: K) -> None:
        """Run the work for this key soon; if it is running now, once more after that."""
        if key in self._running:
            self._again.add(key)
            return
        if (resting := self._resting.pop(key, None)) is not None:
            resting.cancel()
        self._waiting[key] = None
        self._start()

    def forget(self, key: K) -> None:
        """Cancel the work for this key, whether it waits or runs."""
        self._waiting.pop(key, None)
        self._again.discard(key)
        self._failing.discard(key)
        if (resting := self._resting.pop(key, None)) is not None:
            resting.cancel()
        if (task := self._running.get(key)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Cancel everything, and wait until it has ended."""
        tasks = set(self._running.values())
        for key in (*self._waiting, *self._resting, *self._running):
            self.forget(key)
        if tasks:
            await asyncio.wait(tasks)

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._at_once:
            key = next(iter(self._waiting))
            del self._waiting[key]
            task = self._running[key] = asyncio.create_task(self._run(key))
            task.add_done_callback(partial(self._ended, key))

    async def _run(self, key: K) -> None:
        try:
            with inner_cancellation_fails():
                await self._work(key)
        except Exception as error:
            self._failed(key, error)
        else:
            self._failing.discard(key)
            if not self._failing:
                self._outages.succeeded()

    def _failed(self, key: K, error: Exception) -> None:
        self._outages.failed(error)
        if self._rest_seconds is None:
            return
        self._failing.add(key)
        if key not in self._again:
            rest = self._rest_seconds * random.uniform(0.5, 1)  # noqa: S311 - jitter
            self._resting[key] = asyncio.get_running_loop().call_later(rest, self.mark, key)

    def _ended(self, key: K, _: "asyncio.Task[None]") -> None:
        del self._running[key]
        if key in self._again:
            self._again.discard(key)
            self.mark(key)
        else:
            self._start()
