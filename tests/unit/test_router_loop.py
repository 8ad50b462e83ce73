"""The router's loop: when it pauses, how it ends, and what it says of itself meanwhile."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chat4all.adapters.embedded import EmbeddedFeed
from chat4all.domain.errors import NotAccepted, RouterStopped, Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.messages import Head
from chat4all.domain.records import DeadLetter, LogRecord
from chat4all.ports.dead_letters import DeadLetterSink
from chat4all.ports.log import FEW_MAX, Poll
from chat4all.ports.store import StoreBatch
from chat4all.router.loop import CAUSES_MAX, Router
from tests.faults.machine import LogInMemory
from tests.records import CHATS, record
from tests.tables import StoreOnTables, Tables

pytestmark = pytest.mark.anyio


class Log:
    """Hands out these polls, one after another, then waits for ever. Raises what is an error."""

    router: Router

    def __init__(self, *polls: Poll | Exception) -> None:
        self.said: list[str | None] = []
        """What the router says of itself before each poll."""
        self.polls = list(polls)
        self.is_waiting = asyncio.Event()
        self.committed: list[LogPosition] = []
        self.stopped: dict[int, str] = {}

    async def poll(self, limit: int) -> Poll:
        self.said.append(await trouble_of(self.router))
        if not self.polls:
            self.is_waiting.set()
            await asyncio.Event().wait()
        match self.polls.pop(0):
            case Poll() as poll:
                return poll
            case error:
                raise error

    async def commit(self, through: Sequence[LogPosition]) -> None:
        self.committed += through

    def stop(self, partition: int, cause: str) -> None:
        self.stopped[partition] = cause


class PartitionedLog(LogInMemory):
    """The log of which a router with several partitions is a consumer."""

    def partition_of(self, _: ConversationId) -> int:
        return 0


class Store(StoreOnTables):
    """Raises these errors, one after another, instead of writing; then writes."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(Tables())
        self.errors = list(errors)
        self.writes = 0
        self.looked_up: list[ConversationId] = []

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        self.looked_up += conversations
        return await super().heads(conversations)

    async def write(self, batch: StoreBatch) -> None:
        self.writes += 1
        if self.errors:
            raise self.errors.pop(0)
        await super().write(batch)


def read(*offsets: int, stopped: Mapping[int, str] | None = None, partitions: int = 1) -> Poll:
    """Return a poll with a message at each of these offsets of partition 0."""
    records = [
        LogRecord(LogPosition(0, 0, offset), b"", record(f"message {offset}"), 0, True)
        for offset in offsets
    ]
    return Poll(records, dict.fromkeys(range(partitions), 1), stopped or {})


def unreadable(value: bytes) -> Poll:
    return Poll([LogRecord(LogPosition(0, 0, 7), b"", value, 0, True)], {0: 1})


def misplaced() -> Poll:
    """Return a poll with a record that `PartitionedLog` has in another partition."""
    return Poll([LogRecord(LogPosition(0, 1, 8), b"", record(), 0, True)], {0: 1, 1: 1})


def routing(
    log: Log,
    store: Store | None = None,
    letters: DeadLetterSink | None = None,
    *,
    pace: float = 0.0,
    poll_max: int = 2,
    of_several_partitions: bool = False,
) -> Router:
    store = Store() if store is None else store
    log.router = Router(
        log,
        store,
        store if letters is None else letters,
        EmbeddedFeed(),
        PartitionedLog() if of_several_partitions else None,
        retry_first_seconds=0.0001,
        pace_seconds=pace,
        poll_max=poll_max,
    )
    return log.router


async def routed(router: Router, log: Log) -> None:
    """Let the router do all that its log has, and end."""
    async with asyncio.timeout(30):
        running = asyncio.ensure_future(router.run())
        waiting = asyncio.ensure_future(log.is_waiting.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        router.stop()
        await running
        waiting.cancel()


async def trouble_of(router: Router) -> str | None:
    try:
        await router.ping()
    except Unavailable as error:
        return str(error)
    return None


async def test_it_pauses_only_after_a_batch_that_was_not_full() -> None:
    """Fails when many messages cost a batch each, or when a backlog or an idle log waits, or a
    message in a log where there are few."""
    few, full, many = range(FEW_MAX), range(10, 20), range(20, 21 + FEW_MAX)
    log = Log(read(*few), read(*full), read(), read(*many), read(30))
    router = routing(log, pace=3_600, poll_max=len(full))
    async with asyncio.timeout(30):
        running = asyncio.ensure_future(router.run())
        while LogPosition(0, 0, many[-1]) not in log.committed:
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(log.polls) == 1
        router.stop()  # which the pause does not delay
        await running
    assert log.committed[-1].offset == many[-1]
    assert await trouble_of(router) is None


async def test_a_log_without_records_delays_no_stop_and_costs_the_store_nothing() -> None:
    log, store = Log(read(), read()), Store()
    router = routing(log, store)
    await routed(router, log)
    assert (store.writes, log.committed, await trouble_of(router)) == (0, [], None)


async def test_it_ends_only_once_its_poll_has_ended() -> None:
    """Fails when the consumer is closed under a poll that still runs."""
    log = Log()
    router = routing(log)
    has_ended = False

    async def poll(limit: int) -> Poll:
        nonlocal has_ended
        log.is_waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            has_ended = True
        raise AssertionError

    log.poll = poll  # type: ignore[method-assign]
    await routed(router, log)
    assert has_ended


@pytest.mark.parametrize(
    ("part", "method", "step"),
    [
        ("_consumer", "poll", "reading the log"),
        ("_store", "heads", "planning"),
        ("_dead_letters", "add", "keeping dead letters"),
        ("_store", "write", "storing"),
        ("_feed", "announce", "announcing"),
        ("_log", "append", "moving records"),
        ("_consumer", "commit", "committing"),
    ],
)
async def test_while_a_step_fails_it_is_said_which_and_the_step_is_done_again(
    part: str,
    method: str,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fails when readiness hides an outage, when its alarm stays, or when the step is skipped."""
    caplog.set_level(logging.INFO, "chat4all.router.loop")
    log = Log(read(0), unreadable(b"x"), misplaced())
    router = routing(log, of_several_partitions=True)
    asked = getattr(getattr(router, part), method)
    said: list[str | None] = []

    async def failing(*arguments: Any) -> Any:
        said.append(await trouble_of(router))
        if len(said) < 3:
            raise Unavailable("it does not answer")
        return await asked(*arguments)

    monkeypatch.setattr(getattr(router, part), method, failing)
    await routed(router, log)
    assert said[:3] == [None, *[f"{step} fails: it does not answer"] * 2]
    assert await trouble_of(router) is None
    assert [place.offset for place in log.committed] == [0, 7, 8]
    told = [(line.message, vars(line)["step"]) for line in caplog.records if "step" in vars(line)]
    assert told == [("router waits", step), ("router goes on", step)]


async def test_a_conversation_is_looked_up_once_and_no_letters_are_kept_where_there_are_none() -> (
    None
):
    """Fails when each batch costs the store what the batch before has found or written."""
    log, store = Log(read(0), read(1), read(2)), Store()
    await routed(routing(log, store, Refusing()), log)
    assert store.looked_up == [CHATS[0]]
    assert [place.offset for place in log.committed] == [0, 1, 2]


async def test_a_stop_ends_it_while_a_step_fails_and_stops_no_partition() -> None:
    log, store = Log(read(0, 1)), Store()
    router = routing(log, store)

    async def write(batch: StoreBatch) -> None:
        router.stop()
        raise Unavailable("Cassandra does not answer")

    store.write = write  # type: ignore[method-assign]
    async with asyncio.timeout(30):
        await router.run()
    assert (log.committed, log.stopped) == ([], {})


@pytest.mark.parametrize(
    ("error", "why", "is_traced"),
    [
        (RouterStopped("the topic was remade"), "the topic was remade", False),
        (ZeroDivisionError(), "an unexpected error, see the log", True),
    ],
)
async def test_what_ends_the_router_is_logged_and_kept(
    error: Exception, why: str, is_traced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log(read(0), error)
    router = routing(log)
    await routed(router, log)
    assert await trouble_of(router) == f"the router has stopped: {why}"
    (told,) = [line for line in caplog.records if line.levelno == logging.CRITICAL]
    assert told.message == "router stopped"
    assert bool(told.exc_info) == is_traced
    assert is_traced or vars(told)["cause"] == why


@pytest.mark.parametrize(
    ("error", "why", "is_traced"),
    [
        (RouterStopped("its number has another message"), "its number has another message", False),
        (ZeroDivisionError(), "an unexpected error, see the log", True),
    ],
)
async def test_what_stops_a_partition_is_logged_with_the_place_of_its_record(
    error: Exception, why: str, is_traced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Where there is one partition, readiness speaks of the router."""
    log = Log(read(5))
    router = routing(log, Store(error))
    await routed(router, log)
    assert log.stopped == {0: why}
    assert await trouble_of(router) == f"the router has stopped: {why}"
    (told,) = [line for line in caplog.records if line.levelno == logging.CRITICAL]
    assert told.message == "partition stopped"
    assert (vars(told)["position"], vars(told)["cause"]) == ((0, 0, 5), why)
    assert bool(told.exc_info) == is_traced


async def test_partitions_that_the_log_stopped_are_logged_once_and_named_until_they_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cut = {n: f"cut at {n}" for n in range(CAUSES_MAX + 2)}
    first = {3: "cut at 3"}
    log = Log(*(read(stopped=of_poll, partitions=9) for of_poll in (first, cut, cut, {}, {})))
    await routed(routing(log, of_several_partitions=True), log)
    some = "; ".join(f"partition {n}: cut at {n}" for n in range(CAUSES_MAX))
    one = "the router has stopped in 1 of its 9 partitions: partition 3: cut at 3"
    several = f"the router has stopped in {len(cut)} of its 9 partitions: {some}"
    assert log.said == [None, one, several, several, None, None]
    told = [(vars(line)["partition"], vars(line)["cause"]) for line in caplog.records]
    assert told == [*first.items(), *((n, cause) for n, cause in cut.items() if n not in first)]


class Refusing:
    """Takes no letter at all."""

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        raise NotAccepted("too large")


async def test_each_dead_letter_is_logged_with_its_place_and_not_with_its_bytes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log, store = Log(unreadable(b"confidential")), Store()
    await routed(routing(log, store), log)
    (letter,) = await store.all(10)
    (told,) = caplog.records
    assert (told.levelno, told.message) == (logging.ERROR, "dead letter")
    assert (vars(told)["position"], vars(told)["cause"]) == ((0, 0, 7), letter.cause)
    assert "confidential" not in str(vars(told))


async def test_a_partition_stops_when_nothing_can_be_kept_of_a_record() -> None:
    """Fails when the record is skipped, or the router tries for ever."""
    log = Log(unreadable(b"x"))
    await routed(routing(log, letters=Refusing()), log)
    assert log.stopped == {0: "too large"}
    assert log.committed == []
