"""Consume, plan, write, announce, commit: in this order, again and again (EXACTNESS 7)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import Chat4AllError, NotAccepted, RouterStopped, Unavailable
from chat4all.domain.ids import LogPosition
from chat4all.domain.records import DeadLetter, LogRecord
from chat4all.ports.dead_letters import DeadLetterSink
from chat4all.ports.feed import Announcements
from chat4all.ports.log import FEW_MAX, LogConsumer, MessageLog, PartitionedLog, Poll
from chat4all.ports.store import RoutedStore
from chat4all.usecases.routing import Move, Numbering, dead_letter

T = TypeVar("T")

POLL_MAX = 500
"""Records in one batch, on one machine."""

POLL_MAX_IN_A_CLUSTER = 2_000
"""There each stage is a network round trip: with four times the records, a record costs half."""

PACE_SECONDS = 0.005
"""Pause after a batch that was not full: the batch that gathers meanwhile costs little more than a
single message."""

CAUSES_MAX = 5
"""Stopped partitions whose causes readiness gives; the log and the metrics have all."""

RETRY_FIRST_SECONDS = 0.05
RETRY_MAX_SECONDS = 5.0

_log = logging.getLogger(__name__)


class _Stopping(Exception):
    """`stop` was called while a step failed."""


class Router:
    """One router. `run` ends when `stop` was called, with the batch in hand finished.

    A step whose dependency is unavailable is retried until it succeeds: no record is skipped. A
    record that contradicts the store stops its partition; what concerns the whole log stops the
    router. `ping` reports both, until the partition is assigned elsewhere or the router is ended.

    Records in a wrong partition are moved by appending them to `log`; None for a log of one
    partition.
    """

    def __init__(
        self,
        consumer: LogConsumer,
        store: RoutedStore,
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
        """What fails at present, or why the router has stopped."""
        self._assignments: Mapping[int, int] = {}
        self._stopped: dict[int, str] = {}
        """Partitions that have stopped, each with the cause."""

    async def run(self) -> None:
        """Route until `stop`. Raises nothing: what stops the router is logged and kept."""
        try:
            while not self._stopping.is_set():
                poll = await self._retry_until_done("reading the log", self._poll)
                self._note_stopped(poll)
                await self._route(poll)
                if FEW_MAX < len(poll.records) < self._poll_max:
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
        troubles = [self._say_stopped()] if self._stopped else []
        if self._trouble is not None:
            troubles.append(self._trouble)
        if troubles:
            raise Unavailable("; ".join(troubles))

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
        """Carry out one poll; what cannot be carried out stops its partition, and no other.

        To find it, the poll is cut into smaller ones: what comes before it is still routed.
        """
        if not poll.records:
            return
        try:
            await self._carry_out(poll)
        except _Stopping:
            raise
        except Exception as error:
            if len(poll.records) == 1:
                self._stop_partition(poll.records[0].log_position, error)
                return
            for records in _cut(poll.records):
                if records[0].log_position.partition not in self._stopped:
                    await self._route(replace(poll, records=records))

    async def _carry_out(self, poll: Poll) -> None:
        """Take one poll from plan to commit; wherever that is cut off, it can start again.

        Correctness rests on the order: a step begins only once the one before it is durable.
        """
        plan = await self._retry_until_done("planning", lambda: self._numbering.plan(poll))
        # First: the store may commit the log's offset in the same transaction as the batch.
        await self._keep(plan.letters)
        await self._retry_until_done("storing", lambda: self._store.write(plan.batch))
        await self._retry_until_done("announcing", lambda: self._feed.announce(plan.events))
        if (log := self._log) is not None and plan.moves:
            refused = await self._retry_until_done("moving records", lambda: _move(log, plan.moves))
            await self._keep(refused)
        await self._retry_until_done(
            "committing", lambda: self._consumer.commit(plan.batch.through)
        )
        self._numbering.written(plan)

    async def _keep(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            _log.error(
                "dead letter",
                extra={"position": tuple(letter.log_position), "cause": letter.cause},
            )
        if letters:
            await self._add_letters(letters)

    async def _add_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; without its bytes, which the log has, one that is too large."""
        try:
            await self._retry_until_done(
                "keeping dead letters", lambda: self._dead_letters.add(letters)
            )
        except NotAccepted as error:
            if len(letters) > 1:
                for letter in letters:
                    await self._add_letters([letter])
            elif letters[0].key or letters[0].value or letters[0].headers:
                await self._add_letters([_without_bytes(letters[0], error)])
            else:
                raise

    def _note_stopped(self, poll: Poll) -> None:
        self._assignments = poll.assignments
        for partition, cause in poll.stopped.items():
            if self._stopped.get(partition) != cause:
                _log.critical("partition stopped", extra={"partition": partition, "cause": cause})
        self._stopped = dict(poll.stopped)

    def _stop_partition(self, position: LogPosition, error: Exception) -> None:
        is_known = isinstance(error, Chat4AllError)
        cause = str(error) if is_known else "an unexpected error, see the log"
        _log.critical(
            "partition stopped",
            extra={"position": tuple(position), "cause": cause},
            exc_info=None if is_known else error,
        )
        self._consumer.stop(position.partition, cause)
        self._stopped[position.partition] = cause

    def _say_stopped(self) -> str:
        if self._log is None:  # there is one partition
            return f"the router has stopped: {next(iter(self._stopped.values()))}"
        causes = "; ".join(
            f"partition {partition}: {cause}"
            for partition, cause in sorted(self._stopped.items())[:CAUSES_MAX]
        )
        count, all_of_them = len(self._stopped), len(self._assignments)
        return f"the router has stopped in {count} of its {all_of_them} partitions: {causes}"

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


async def _move(log: MessageLog, moves: Sequence[Move]) -> list[DeadLetter]:
    """Append records again where they belong; return letters for those that the log never takes.

    One that is appended twice is recognised as a duplicate.
    """
    appends = [log.append(move.conversation, move.value, move.headers) for move in moves]
    results = await asyncio.gather(*appends, return_exceptions=True)
    refused = []
    for move, result in zip(moves, results, strict=True):
        if isinstance(result, NotAccepted):
            refused.append(move)
        elif isinstance(result, BaseException):
            raise result
    return [letter for move in refused if (letter := await _move_alone(log, move))]


async def _move_alone(log: MessageLog, move: Move) -> DeadLetter | None:
    """Append a record that was refused together with others; return its letter if it still is."""
    try:
        await log.append(move.conversation, move.value, move.headers)
    except NotAccepted as error:
        return dead_letter(move.record, f"it is in a wrong partition, and cannot be moved: {error}")
    return None


def _without_bytes(letter: DeadLetter, error: NotAccepted) -> DeadLetter:
    size = len(letter.key) + len(letter.value)
    cause = f"{letter.cause}; only the log has its {size} bytes: {error}"
    return replace(letter, cause=cause, key=b"", value=b"", headers=())


def _cut(records: Sequence[LogRecord]) -> list[Sequence[LogRecord]]:
    """Return the records of each partition, or two halves of those of one partition."""
    by_partition: dict[int, list[LogRecord]] = {}
    for record in records:
        by_partition.setdefault(record.log_position.partition, []).append(record)
    if len(by_partition) > 1:
        return list(by_partition.values())
    half = len(records) // 2
    return [records[:half], records[half:]]
