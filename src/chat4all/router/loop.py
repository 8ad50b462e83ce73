"""Consume, plan, write, announce, commit: in this order, for ever (EXACTNESS 7)."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

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
"""There each stage of a batch is a round trip and more: with four times as many each costs half."""

PACE_SECONDS = 0.005
"""Rest after a batch that was not full: a batch of what gathers meanwhile costs little more than
one message alone."""

RETRY_FIRST_SECONDS = 0.05
RETRY_MAX_SECONDS = 5.0

_log = logging.getLogger(__name__)


class _ToldToStop(Exception):
    """The router was told to stop while a step could not be done."""


class Router:
    """One router. `run` ends when `stop` was called, with the batch in hand finished.

    A part that is away is tried again until it is back: nothing is skipped, the log waits. What
    cannot be explained stops the router, and `ping` says so until somebody has looked.

    `log` takes the records that are in a wrong partition; a log of one partition has none of them.
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
        self._retry_first_seconds = retry_first_seconds
        self._pace_seconds = pace_seconds
        self._poll_max = poll_max
        self._stopping = asyncio.Event()
        self._trouble: str | None = None

    async def run(self) -> None:
        """Route until `stop`. Raises nothing: what stops the router is logged and kept."""
        try:
            while not self._stopping.is_set():
                poll = await self._insist("reading the log", self._poll)
                await self._route(poll)
                if 0 < len(poll.records) < self._poll_max:
                    await self._rest(self._pace_seconds)
        except _ToldToStop:
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
        """Poll, unless told to stop meanwhile: a quiet log must not hold up a stop."""
        poll = asyncio.ensure_future(self._consumer.poll(self._poll_max))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({poll, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not poll.done():
                raise _ToldToStop
            return poll.result()
        finally:
            poll.cancel()
            stop.cancel()
            await asyncio.gather(poll, stop, return_exceptions=True)

    async def _route(self, poll: Poll) -> None:
        """Take one poll from plan to commit. Stopped anywhere, it can be done again from its start.

        The order is the promise: each step only after the one before it is durable.
        """
        if not poll.records:
            return
        plan = await self._insist("planning", lambda: self._numbering.plan(poll))
        if plan.letters:
            for letter in plan.letters:
                _log.error(
                    "dead letter",
                    extra={"position": tuple(letter.log_position), "cause": letter.cause},
                )
            # First, because a store may keep the log's offset in the transaction of what it stores.
            await self._insist("keeping dead letters", lambda: self._dead_letters.add(plan.letters))
        await self._insist("storing", lambda: self._store.write(plan.batch))
        await self._insist("announcing", lambda: self._feed.announce(plan.events))
        if (log := self._log) is not None and plan.moves:
            await self._insist("moving records", lambda: _move(log, plan.moves))
        await self._insist("committing", lambda: self._consumer.commit(plan.batch.through))
        self._numbering.written(plan)

    async def _insist(self, what: str, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step until it succeeds, however long its part is away.

        There is no limit to the tries: going on without the step would lose a message. Raises
        `_ToldToStop` when told to stop while it fails.
        """
        seconds = self._retry_first_seconds
        told: set[str] = set()
        while True:
            try:
                result = await step()
            except Unavailable as error:
                self._trouble = f"{what} fails: {error}"
                if str(error) not in told:
                    told.add(str(error))
                    _log.warning("router waits", extra={"step": what, "cause": str(error)})
            else:
                if told:
                    _log.info("router goes on", extra={"step": what})
                self._trouble = None
                return result
            await self._rest(seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            seconds = min(2 * seconds, RETRY_MAX_SECONDS)

    async def _rest(self, seconds: float) -> None:
        """Wait so long; raises `_ToldToStop` when told to stop meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise _ToldToStop


async def _move(log: MessageLog, moves: Sequence[Move]) -> None:
    """Append records again where they belong. Those done twice are duplicates, and found to be."""
    appends = [log.append(move.conversation, move.value, move.headers) for move in moves]
    for result in await asyncio.gather(*appends, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
