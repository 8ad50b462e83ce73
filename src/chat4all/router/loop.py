"""Consume, plan, write, announce, commit: in this order, again and again (EXACTNESS 7)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import RouterStopped, Unavailable
from chat4all.ports.dead_letters import DeadLetterSink
from chat4all.ports.feed import Announcements
from chat4all.ports.log import LogConsumer, MessageLog, PartitionedLog, Poll
from chat4all.ports.store import SequencedStore
from chat4all.usecases.routing import Move, Numbering

T = TypeVar("T")

POLL_MAX = 500
"""Records in one batch, on one machine."""

POLL_MAX_IN_A_CLUSTER = 2_000
"""There each stage is a network round trip: with four times the records, a record costs half."""

PACE_SECONDS = 0.005
"""Pause after a batch that was not full: the batch that gathers meanwhile costs little more than a
single message."""

RETRY_FIRST_SECONDS = 0.05
RETRY_MAX_SECONDS = 5.0

_log = logging.getLogger(__name__)


class _Stopping(Exception):
    """`stop` was called while a step failed."""


class Router:
    """One router. `run` ends when `stop` was called, with the batch in hand finished.

    A step whose dependency is unavailable is retried until it succeeds: no record is skipped. A
    contradiction stops the router, and `ping` reports it from then on.

    Records in a wrong partition are moved by appending them to `log`; None for a log of one
    partition.
    """

    def __init__(
        self,
        consumer: LogConsumer,
        store: SequencedStore,
        dead_letters: DeadLetterSink,
        feed: Announcements,
        log: PartitionedLog | None = None,
        *,
        retry_first_seconds: float = RETRY_FIRST_SECONDS,
        pace_seconds: float = PACE_SECONDS,
        poll_max: int = POLL_MAX,
    ) -> None:
        self._consumer = consumer
        self._store = store
        self._dead_letters = dead_letters
        self._feed = feed
        self._log = log
        self._numbering = Numbering(store, None if log is None else log.partition_of)
        self._backoff = Backoff(retry_first_seconds, RETRY_MAX_SECONDS)
        self._pace_seconds = pace_seconds
        self._poll_max = poll_max
        self._stopping = asyncio.Event()
        self._trouble: str | None = None

    async def run(self) -> None:
        """Route until `stop`. Raises nothing: what stops the router is logged and kept."""
        try:
            while not self._stopping.is_set():
                poll = await self._retry_until_done("reading the log", self._poll)
                await self._route(poll)
                if 0 < len(poll.records) < self._poll_max:
                    await self._rest(self._pace_seconds)
        except _Stopping:
            pass
        except RouterStopped as error:
            self._trouble = f"the router has stopped: {error}"
            _log.critical("router stopped", extra={"cause": str(error)})
        except Exception:
            self._trouble = "the router has stopped: an unexpected error, see the log"
            _log.critical("router stopped", exc_info=True)

    def stop(self) -> None:
        """Ask `run` to end after the batch in hand."""
        self._stopping.set()

    async def ping(self) -> None:
        """Return while messages are routed; raise `Unavailable` with the cause while not."""
        if self._trouble is not None:
            raise Unavailable(self._trouble)

    async def _poll(self) -> Poll:
        """Poll until `stop` is called: a log without new records must not delay a stop."""
        poll = asyncio.ensure_future(self._consumer.poll(self._poll_max))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({poll, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not poll.done():
                raise _Stopping
            return poll.result()
        finally:
            poll.cancel()
            stop.cancel()
            await asyncio.gather(poll, stop, return_exceptions=True)

    async def _route(self, poll: Poll) -> None:
        """Take one poll from plan to commit; wherever that is cut off, it can start again.

        Correctness rests on the order: a step begins only once the one before it is durable.
        """
        if not poll.records:
            return
        plan = await self._retry_until_done("planning", lambda: self._numbering.plan(poll))
        if plan.letters:
            for letter in plan.letters:
                _log.error(
                    "dead letter",
                    extra={"position": tuple(letter.log_position), "cause": letter.cause},
                )
            # First: the store may commit the log's offset in the same transaction as the batch.
            await self._retry_until_done(
                "keeping dead letters", lambda: self._dead_letters.add(plan.letters)
            )
        await self._retry_until_done("storing", lambda: self._store.write(plan.batch))
        await self._retry_until_done("announcing", lambda: self._feed.announce(plan.events))
        if (log := self._log) is not None and plan.moves:
            await self._retry_until_done("moving records", lambda: _move(log, plan.moves))
        await self._retry_until_done(
            "committing", lambda: self._consumer.commit(plan.batch.through)
        )
        self._numbering.written(plan)

    async def _retry_until_done(self, what: str, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step until it succeeds, however long its dependency is unavailable.

        The number of tries is unlimited: skipping the step would lose a message. Raises
        `_Stopping` when `stop` is called while it fails.
        """
        outages = OutageLog(_log, "router waits", "router goes on", step=what)

        def note(error: Exception) -> None:
            self._trouble = f"{what} fails: {error}"
            outages.failed(error)

        result = await retry(step, self._backoff, on_failure=note, sleep=self._rest)
        outages.succeeded()
        self._trouble = None
        return result

    async def _rest(self, seconds: float) -> None:
        """Wait for so many seconds; raises `_Stopping` when `stop` is called meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise _Stopping


async def _move(log: MessageLog, moves: Sequence[Move]) -> None:
    """Append records again where they belong. One appended twice is recognised as a duplicate."""
    appends = [log.append(move.conversation, move.value, move.headers) for move in moves]
    for result in await asyncio.gather(*appends, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
