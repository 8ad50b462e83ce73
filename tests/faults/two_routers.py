"""Routers on one log and one store that take turns at every read and every write.

The store is Cassandra's, in memory (`tests/tables.py`). Whoever has the partition, the others go on
with what they have in hand, as a process does that was frozen: their writes land, their commits do
not count.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import pytest

from chat4all.adapters.cassandra import keys, recovery
from chat4all.adapters.cassandra.session import Row, Statement
from chat4all.domain.errors import Unavailable
from chat4all.domain.events import LiveEvent
from chat4all.domain.ids import LogPosition
from chat4all.ports.log import Poll
from chat4all.router.loop import Router
from tests.faults.machine import LogInMemory, Machine, Stop
from tests.tables import StoreOnTables, Tables

BUCKET = 4
"""Numbers in one partition of `messages`, so that short histories have several."""

SETTLED = 25
"""Turns of the event loop after which a router that has no I/O waits at a gate again."""

NOBODY = 0

Work = Sequence[Statement]


class Gate:
    """Where a router waits for its next turn; several of its requests may wait at once."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[asyncio.Future[None], Work]] = deque()
        self._open = False
        self._dead = False

    async def turn(self, work: Work = ()) -> None:
        """Wait for a turn to write `work`, or to do something else."""
        if self._dead:
            raise Stop
        if not self._open:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((turn, work))
            await turn

    def advance(self, which: int) -> None:
        """Give one of those that wait its turn: requests are answered in any order."""
        if self._waiting:
            self._waiting.rotate(-which)
            self._waiting.popleft()[0].set_result(None)

    def open(self) -> None:
        self._open = True
        while self._waiting:
            self.advance(0)

    def kill(self) -> list[Work]:
        """End the process; return the writes that were under way."""
        self._dead = True
        under_way = [work for _, work in self._waiting if work]
        for turn, _ in self._waiting:
            turn.set_exception(Stop())
        self._waiting.clear()
        return under_way


class _Session:
    """One router's way to the tables: a turn for each request, and for each partition written."""

    def __init__(self, tables: Tables, gate: Gate) -> None:
        self._tables = tables
        self._gate = gate

    async def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        if statement.startswith("INSERT"):
            await self.batch([(statement, values)])
            return []
        await self._gate.turn()
        return await self._tables.run(statement, values)

    async def batch(self, statements: Work) -> None:
        await asyncio.gather(*map(self._write, self._tables.by_partition(statements)))

    async def _write(self, work: Work) -> None:
        await self._gate.turn(work)
        self._tables.apply(work)


class _Process:
    """One router; it has the partition while `assignment` is not `NOBODY`."""

    def __init__(self, group: "TwoRouters") -> None:
        self._group = group
        self.gate = Gate()
        self.assignment = NOBODY
        self.after = 0
        store = StoreOnTables(cast("Tables", _Session(group.tables, self.gate)))
        self.router = Router(
            self, store, store, self, retry_first_seconds=0.001, pace_seconds=0, poll_max=4
        )
        self.task = asyncio.create_task(self.router.run())

    async def poll(self, limit: int) -> Poll:
        await self.gate.turn()
        if self.assignment == NOBODY:
            if self._group.ending:
                self.router.stop()
            return Poll([], {})
        records = await self._group.log.read(self.after, limit)
        if records:
            self.after = records[-1].log_position.offset
        if self._group.owner is not self:
            self.assignment = NOBODY  # by the next poll it has heard of it
        elif not records and self._group.ending:
            self.router.stop()
        return Poll(records, {0: self.assignment} if records else {})

    def stop(self, partition: int, cause: str) -> None:
        raise AssertionError(cause)

    async def commit(self, through: Sequence[LogPosition]) -> None:
        await self.gate.turn()
        if self._group.owner is self:
            self._group.machine.committed = through[-1].offset

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        await self.gate.turn()
        self._group.machine.heard.extend(events)

    async def check(self) -> None:
        """AssertionError when it has stopped for good."""
        try:
            await self.router.ping()
        except Unavailable as error:
            raise AssertionError(str(error)) from None


class TwoRouters:
    """A log, a store, and two processes, of which one at most has the partition."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.log = LogInMemory()
        self.machine = Machine(self.log, StoreOnTables(self.tables))
        self.ending = False
        self._late: list[Work] = []
        self._assignment = NOBODY
        self._processes = [_Process(self), _Process(self)]
        self.owner: _Process | None = None
        self.assign(0)

    def assign(self, number: int) -> None:
        """Give the partition to one router, also where it had it before."""
        self._assignment += 1
        self.owner = self._processes[number]
        self.owner.assignment = self._assignment
        self.owner.after = self.machine.committed

    async def advance(self, number: int, which: int = 0) -> None:
        """Let one router do one step."""
        self._processes[number].gate.advance(which)
        await self._settle()

    async def kill(self, number: int, *, part: bool = False, late: bool = False) -> None:
        """Kill one router and start another in its place.

        Of the writes that were under way nothing is left, or all of it lands later, or of each
        message a part of its columns: what a read repaired of a row that a lost replica had.
        """
        process = self._processes[number]
        under_way = process.gate.kill()
        if late:
            self._late += under_way
        elif part:
            for work in under_way:
                if " messages " in work[0][0]:
                    self.tables.apply(work, frozenset({"log_position"}))
        await asyncio.gather(process.task, return_exceptions=True)
        self._processes[number] = _Process(self)
        if self.owner is process:
            self.assign(number)
        await self._settle()

    def land(self) -> None:
        """Let the writes of killed routers arrive."""
        for work in self._late:
            self.tables.apply(work)
        self._late.clear()

    async def end(self) -> None:
        """Let everything that is under way happen, and check what is there then."""
        self.ending = True
        self.land()
        for process in self._processes:
            process.gate.open()
        await asyncio.gather(*(process.task for process in self._processes))
        for process in self._processes:
            await process.check()
        assert self.machine.committed == await self.log.end()
        await self.machine.check()

    async def _settle(self) -> None:
        for _ in range(SETTLED):
            await asyncio.sleep(0)


def small_buckets(patch: pytest.MonkeyPatch) -> None:
    for module in (keys, recovery):
        patch.setattr(module, "BUCKET", BUCKET)


def run(steps: Callable[[TwoRouters], Awaitable[None]]) -> None:
    """Do the steps, then let all end and check."""

    async def all_of_it() -> None:
        group = TwoRouters()
        await group.advance(0)
        await steps(group)
        await group.end()

    with pytest.MonkeyPatch.context() as patch:
        small_buckets(patch)
        asyncio.run(all_of_it())
