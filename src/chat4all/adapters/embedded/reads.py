"""Reading in threads: one switch to a thread and back serves many reads.

Switching to a thread and back to the event loop costs as much as reading a page of history. So a
thread that has finished a read goes on with those that wait by then, and wakes the loop once for
all results since the loop last took them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, NamedTuple

from chat4all.adapters.embedded.deadlines import Deadlines
from chat4all.domain.errors import Overloaded, Unavailable

WAITING_MAX = 1_000
"""Reads that may wait for a thread."""

READS_PER_TURN = 64
"""After so many reads a thread goes back to the pool, for others that wait for one."""


class _Read(NamedTuple):
    query: str
    values: Mapping[str, object]
    done: asyncio.Future[Any]


class Reads:
    """Queries that `fetch` answers in the threads of `executor`, at most `threads` at a time.

    At most `WAITING_MAX` wait; one more is refused at once. One that is not answered within
    `patience` seconds is `Unavailable`.
    """

    def __init__(
        self,
        name: str,
        executor: Executor,
        threads: int,
        fetch: Callable[[str, Mapping[str, object]], Any],
        patience: float,
    ) -> None:
        self._name = name
        self._executor = executor
        self._threads = threads
        self._fetch = fetch
        self._deadlines = Deadlines(patience, lambda: Unavailable(f"{name} does not answer"))
        self._waiting: deque[_Read] = deque()
        self._results: deque[tuple[asyncio.Future[Any], Any, Exception | None]] = deque()
        self._at_work = 0
        self._wakeup_scheduled = False

    async def fetch(self, query: str, values: Mapping[str, object]) -> Any:
        """Return the result of `fetch` for this query, or raise its error."""
        if len(self._waiting) >= WAITING_MAX:
            raise Overloaded(f"too many reads wait for {self._name}")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(_Read(query, values, done))
        self._deadlines.watch(done)
        if self._at_work < self._threads:
            self._start(loop)
        return await done

    async def close(self) -> None:
        """Finish the reads that wait."""
        waiting = tuple(self._waiting)  # a copy: threads take from the queue
        if waiting:
            await asyncio.wait([read.done for read in waiting])
        self._deadlines.close()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._at_work += 1
        loop.run_in_executor(self._executor, self._work, loop).add_done_callback(self._ended)

    def _ended(self, worked: asyncio.Future[None]) -> None:
        self._at_work -= 1
        if self._waiting:
            self._start(worked.get_loop())

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do the reads that wait. Runs in a thread."""
        for _ in range(READS_PER_TURN):
            try:
                read = self._waiting.popleft()
            except IndexError:
                return
            if read.done.done():  # its caller has gone
                continue
            row, error = None, None
            try:
                row = self._fetch(read.query, read.values)
            except Exception as failed:
                error = failed
            self._results.append((read.done, row, error))
            if not self._wakeup_scheduled:
                self._wakeup_scheduled = True
                loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        # Before the results are taken: a thread that adds one after that wakes the loop again.
        self._wakeup_scheduled = False
        while self._results:
            done, row, error = self._results.popleft()
            if done.done():
                continue
            if error is None:
                done.set_result(row)
            else:
                done.set_exception(error)
