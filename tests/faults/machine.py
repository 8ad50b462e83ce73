"""A router on the embedded adapters that can be killed at a named step and restarted.

`StagedStore` writes a batch as a store without transactions over tables does (EXACTNESS 7): bucket
after bucket of messages, then ids, then markers, then heads, each durable by itself; the offset
apart and last. So a stop between any two writes leaves what a killed process leaves.

The machine has the store of one machine, whose constraints refuse what contradicts a row, or
Cassandra's, where the last write wins and nothing is refused.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Protocol

from chat4all.adapters.embedded import EmbeddedFeed, EmbeddedLog, EmbeddedStore
from chat4all.domain.changes import count_reactions
from chat4all.domain.events import LiveEvent, MessageChanged, MessageStored
from chat4all.domain.ids import ConversationId, LogPosition, Username
from chat4all.domain.kinds import PREVIEW_MAX
from chat4all.domain.messages import Head, StoredMessage
from chat4all.domain.records import DeadLetter, Headers, LogRecord
from chat4all.ports.log import MessageLog, PartitionedLog, Poll
from chat4all.ports.store import IdEntry, IdKey, StoreBatch
from chat4all.router.loop import Router
from tests.contract.ports import Letters, Store
from tests.records import CHATS, Chat, Row, model, modelled
from tests.stored import stored
from tests.tables import StoreOnTables, Tables

STEPS = (
    "dead letters",
    "messages",
    "ids",
    "changes",
    "change ids",
    "markers",
    "heads",
    "change heads",
    "announced",
    "committed",
)
BUCKET = 10
"""Numbers that the staged store writes at once."""


class AnyStore(Store, Letters, Protocol): ...


class ReadableLog(MessageLog, Protocol):
    """A log of one partition, whose first offset is 1."""

    async def read(self, after: int, limit: int) -> Sequence[LogRecord]: ...

    async def end(self) -> int: ...


class LogInMemory:
    """The log, for many short tests."""

    def __init__(self) -> None:
        self._records: list[LogRecord] = []

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        position = LogPosition(0, 0, len(self._records) + 1)
        now = time.time_ns() // 1_000_000
        self._records.append(
            LogRecord(position, key.encode(), value, now, log_append_time=True, headers=headers)
        )
        return position

    def makes_fresh_ids(self) -> bool:
        return True

    async def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        return self._records[after : after + limit]

    async def end(self) -> int:
        return len(self._records)


class Stop(BaseException):
    """The process dies here. Not an Exception: no handler of the product may survive it."""


class Steps:
    """Raises `Stop` right after the `times`-th passing of the step that it is armed for."""

    def __init__(self, stop_after: str | None = None, times: int = 1) -> None:
        self._stop_after = stop_after
        self._times = times
        self.passed: list[str] = []

    def done(self, step: str) -> None:
        self.passed.append(step)
        if step == self._stop_after and self.passed.count(step) == self._times:
            raise Stop


class StagedStore:
    """A `SequencedStore` and `DeadLetters` whose stages are durable one by one."""

    def __init__(self, store: AnyStore, steps: Steps) -> None:
        self._store = store
        self._steps = steps
        self.at_positions = store.at_positions
        self.change_heads = store.change_heads
        self.find_change_ids = store.find_change_ids
        self.changes_at = store.changes_at
        self.targets = store.targets
        self.position = store.position
        self.changed = store.changed
        self.with_numbers = store.with_numbers
        self.versions = store.versions
        self.made = store.made
        self.reactions = store.reactions
        self.head = store.head
        self.page = store.page
        self.read_seqs = store.read_seqs
        self.receipts = store.receipts
        self.activity = store.activity
        self.overviews = store.overviews
        self.read_by = store.read_by
        self.delivered_to = store.delivered_to
        self.with_id = store.with_id
        self.ping = store.ping
        self.all = store.all
        self.get = store.get
        self.replayed = store.replayed

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        return await self._store.heads(conversations)

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        return await self._store.find_ids(keys)

    async def write(self, batch: StoreBatch) -> None:
        for messages in self.in_order(by_bucket(batch.messages)):
            await self._store.write(StoreBatch(through=(), messages=messages))
            self._steps.done("messages")
        await self._store.write(StoreBatch(through=(), ids=batch.ids))
        self._steps.done("ids")
        for change in batch.changes:
            await self._store.write(StoreBatch(through=(), changes=[change]))
            self._steps.done("changes")
        await self._store.write(StoreBatch(through=(), change_ids=batch.change_ids))
        self._steps.done("change ids")
        await self._store.write(StoreBatch(through=(), markers=batch.markers))
        self._steps.done("markers")
        await self._store.write(StoreBatch(through=(), heads=batch.heads))
        self._steps.done("heads")
        await self._store.write(StoreBatch(through=(), change_heads=batch.change_heads))
        self._steps.done("change heads")

    def in_order(
        self, buckets: Sequence[Sequence[StoredMessage]]
    ) -> Sequence[Sequence[StoredMessage]]:
        return buckets

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        await self._store.add(letters)
        self._steps.done("dead letters")


def by_bucket(messages: Sequence[StoredMessage]) -> list[list[StoredMessage]]:
    def place(message: StoredMessage) -> tuple[str, int]:
        return message.conversation_id, message.seq // BUCKET

    return [list(group) for _, group in groupby(sorted(messages, key=place), key=place)]


class StagedFeed(EmbeddedFeed):
    def __init__(self, steps: Steps, heard: list[LiveEvent]) -> None:
        super().__init__()
        self._steps = steps
        self._heard = heard

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        self._heard.extend(events)
        self._steps.done("announced")


class StagedConsumer:
    """Reads from an offset that is kept apart from the store, and stops the router at the end."""

    def __init__(self, machine: "Machine", steps: Steps) -> None:
        self._machine = machine
        self._steps = steps
        self._after = machine.committed
        self._stopped: dict[int, str] = {}
        self.router: Router | None = None
        self.assignment = machine.assignment

    async def poll(self, limit: int) -> Poll:
        if self._stopped and self.router is not None:
            self.router.stop()
            return Poll((), {0: self.assignment}, self._stopped)
        batch = min(limit, self._machine.poll_max)
        records = await self._machine.log.read(self._after, batch)
        if records:
            self._after = records[-1].log_position.offset
        elif self.router is not None:
            self.router.stop()
        records = [self._machine.alter(r) for r in records]
        return Poll(records, {0: self.assignment})

    async def commit(self, through: Sequence[LogPosition]) -> None:
        self._machine.committed = through[-1].offset
        self._steps.done("committed")

    def stop(self, partition: int, cause: str) -> None:
        self._stopped[partition] = cause


class Machine:
    """One log and one store, and as many routers as a test starts on them."""

    def __init__(self, log: ReadableLog, store: AnyStore) -> None:
        self.log = log
        self.store = store
        self.committed = 0
        self.assignment = 1
        self.poll_max = 500
        self.heard: list[LiveEvent] = []
        self._newest: dict[ConversationId, StoredMessage] = {}
        self.partitioned: PartitionedLog | None = None
        self.alter: Callable[[LogRecord], LogRecord] = lambda r: r

    async def append(self, *values: bytes) -> None:
        for value in values:
            await self.log.append(CHATS[0], value)

    def router(
        self,
        stop_after: str | None = None,
        times: int = 1,
        store: Callable[[AnyStore, Steps], StagedStore] = StagedStore,
    ) -> Router:
        """Return a new router; it reads what is there and stops, or dies after the named step."""
        steps = Steps(stop_after, times)
        staged = store(self.store, steps)
        consumer = StagedConsumer(self, steps)
        router = Router(
            consumer,
            staged,
            staged,
            StagedFeed(steps, self.heard),
            self.partitioned,
            retry_first_seconds=0.001,
        )
        consumer.router = router
        return router

    async def route(
        self,
        stop_after: str | None = None,
        times: int = 1,
        store: Callable[[AnyStore, Steps], StagedStore] = StagedStore,
    ) -> None:
        """Start a router and let it run to the log's end, or to its death."""
        with suppress(Stop):
            await self.router(stop_after, times, store).run()

    async def records(self) -> Sequence[LogRecord]:
        return [self.alter(r) for r in await self.log.read(0, 1_000_000)]

    async def rows(self, chat: ConversationId) -> list[Row]:
        """Return a conversation's visible rows; AssertionError unless they count 1, 2, 3 …."""
        found: list[StoredMessage] = []
        while True:
            page = await stored(self.store, chat, limit=200, after=len(found))
            if not page.messages:
                break
            found.extend(page.messages)
        assert [m.seq for m in found] == list(range(1, len(found) + 1)), "seq has a hole"
        if found:
            self._newest[chat] = found[-1]
        return [(m.message_id, m.sender_id, m.content) for m in found]

    async def check(self) -> None:
        """Assert that the store equals the model of the log, and that everything was announced."""
        records = await self.records()
        wanted = model(records)
        for chat in CHATS:
            assert await self.rows(chat) == wanted.get(chat, []), "the store differs from the log"
        taken_ms = {record.log_position: record.order_ms for record in records}
        # What a log has not stamped is ordered by what each store can say of it.
        places = {
            chat: (newest.seq, taken_ms[newest.log_position])
            for chat, newest in self._newest.items()
            if taken_ms[newest.log_position]
        }
        activity = await self.store.activity(list(places))
        found = {chat: (one.seq, one.order_ms) for chat, one in activity.items()}
        assert found == places, "a list has it elsewhere"
        numbers: dict[tuple[str, int], str] = {}
        for message in (event.message for event in self.heard if isinstance(event, MessageStored)):
            place = (message.conversation_id, message.seq)
            known = numbers.setdefault(place, message.message_id)
            assert known == message.message_id, "a number was announced for two messages"
        assert len(numbers) == sum(len(rows) for rows in wanted.values()), "not all was announced"
        for name, of_chat in modelled(records).items():
            await self._check_changes(ConversationId(name), of_chat)

    async def _check_changes(self, chat: ConversationId, wanted: Chat) -> None:
        """Assert that changes have their numbers, and messages what the changes come to."""
        numbered = list(enumerate(wanted.changes, start=1))
        assert await self.store.position(chat) == (len(wanted.messages), len(numbered))
        assert list(await self.store.changed(chat, after=0, limit=10_000)) == numbered
        for seq, message in enumerate(wanted.messages, start=1):
            (found,) = await self.store.with_numbers(chat, [seq])
            assert (found.deleted_at is not None) == message.is_deleted
            texts = [version.content for version in await self.store.versions(chat, seq)]
            gone = message.is_deleted
            assert texts == ([] if gone or len(message.versions) == 1 else message.versions)
            assert (found.edited_at is not None) == bool(texts)
            given = [] if gone else [(*key, n) for key, n in message.reactions.items()]
            counted = count_reactions((e, Username(name), n) for e, name, n in given)
            assert found.reactions == counted, "reactions differ from the log"
            sent = message.sent
            has = (None, ()) if gone else (sent.payload, sent.mentions)
            assert (found.kind, found.payload, found.mentions) == (sent.kind, *has)
            answers = sent.reply_seq if sent.reply_seq and sent.reply_seq < seq else None
            assert (found.reply_to and found.reply_to.seq) == answers
            if found.reply_to is not None and answers is not None:
                of = wanted.messages[answers - 1]
                shown = (found.reply_to.content, found.reply_to.deleted)
                assert shown == (of.text[:PREVIEW_MAX], of.is_deleted), "a preview is not as it is"
        self._check_heard(chat, numbered)

    def _check_heard(self, chat: ConversationId, numbered: Sequence[tuple[int, int]]) -> None:
        """Assert that each change was announced, and none before its message (rule 20b)."""
        known: set[int] = set()
        changed: dict[int, int] = {}
        for event in self.heard:
            match event:
                case MessageStored(message) if message.conversation_id == chat:
                    known.add(message.seq)
                case MessageChanged(conversation, seq, change) if conversation == chat:
                    assert seq in known, "a change was announced before its message"
                    assert changed.setdefault(change, seq) == seq
        assert sorted(changed.items()) == list(numbered), "not all changes were announced"


@asynccontextmanager
async def machine(folder: Path | None) -> AsyncIterator[Machine]:
    """Make a machine in a folder or, without one, on tables in memory where the last write wins."""
    if folder is None:
        yield Machine(LogInMemory(), StoreOnTables(Tables()))
        return
    log = EmbeddedLog(folder / "log.db")
    await log.open()
    store = EmbeddedStore(folder / "store.db")
    await store.open()
    await store.follows(log.log_id)
    try:
        yield Machine(log, store)
    finally:
        await log.close()
        await store.close()


def stamped_late(records: set[int]) -> Callable[[LogRecord], LogRecord]:
    """Make the records at these offsets look as if they were appended long after their ids."""
    return lambda r: (
        r._replace(appended_ms=r.appended_ms + 60_000) if r.log_position.offset in records else r
    )
