"""Number every message.

Numbering is a function of the log. The outcome of a record depends on its bytes and metadata and on
rows written for earlier positions, never on a clock, a setting, the directory or chance: a router
that was killed, restarted or fell behind can only write what is already there. The rules are
in docs/exactness.md; each step below names its own.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar, assert_never

from cachetools import LRUCache

from chat4all.domain.changes import NO_CHANGE, ChangeHead
from chat4all.domain.events import LiveEvent, MarkerMoved, MessageChanged, MessageStored
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.messages import NO_HEAD, Head, StoredMessage
from chat4all.domain.records import (
    ChangeRecord,
    DeadLetter,
    DeletionRecord,
    DeliveredRecord,
    EditRecord,
    Headers,
    LogRecord,
    MarkerRecord,
    MessageRecord,
    ReactionRecord,
)
from chat4all.ports.log import Poll
from chat4all.ports.store import RoutedStore, StoreBatch, TargetKey
from chat4all.usecases import numbering_changes, numbering_rules
from chat4all.usecases.markers import furthest
from chat4all.wire.records import MalformedRecord, decode_record, mark_moved

R = TypeVar("R", MessageRecord, ChangeRecord)
H = TypeVar("H", Head, ChangeHead)

HEADS_MAX = 100_000
"""Conversations whose head is cached in one partition."""


class Move(NamedTuple):
    """A record in the wrong partition, to be appended again where it belongs (rule 9).

    `value` and `headers` are what is appended, `record` is what was read.
    """

    conversation: ConversationId
    value: bytes
    headers: Headers
    record: LogRecord


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from one poll, before anything is written."""

    batch: StoreBatch
    letters: Sequence[DeadLetter]
    events: Sequence[LiveEvent]
    moves: Sequence[Move] = ()


@dataclass(slots=True)
class _Partition:
    """The state of one partition, dropped with its assignment (rule 2)."""

    assignment: int
    heads: MutableMapping[ConversationId, Head] = field(default_factory=lambda: LRUCache(HEADS_MAX))
    change_heads: MutableMapping[ConversationId, ChangeHead] = field(
        default_factory=lambda: LRUCache(HEADS_MAX)
    )


class Numbering:
    """Turns polls into plans. The caller writes each plan, then calls `written`.

    `partition_of` returns where a conversation's records belong; a log of one partition needs none.
    """

    def __init__(
        self,
        store: RoutedStore,
        partition_of: Callable[[ConversationId], int] | None = None,
    ) -> None:
        self._store = store
        self._partition_of = partition_of
        self._partitions: dict[int, _Partition] = {}

    async def plan(self, poll: Poll) -> Plan:
        """Judge every record of a poll and number what is new.

        Raises `RouterStopped` when a record is of a later version or the store contradicts the
        log, and `Unavailable` when the store does not answer; nothing has changed then, and
        the same poll may be planned again.
        """
        self._drop_stale_partitions(poll.assignments)
        messages, markers, parsed_changes, letters, moves = _parse(poll.records, self._partition_of)
        heads = await self._heads_of(messages, NO_HEAD, lambda p: p.heads, self._store.heads)
        entries = await self._store.find_ids(
            [
                numbering_rules.id_key(message)
                for record, message in messages
                if numbering_rules.must_look_up(record, message, heads[message.conversation_id])
            ]
        )
        rows = await self._store.at_positions(
            [
                (message.conversation_id, record.log_position)
                for record, message in messages
                if record.log_position <= heads[message.conversation_id].log_position
            ]
        )
        numbered = numbering_rules.number_messages(messages, heads, entries, rows)
        appended_ms = {
            record.log_position: record.appended_ms
            for record, message in messages
            if message.mark_read
        }
        reached = furthest(numbered.messages, appended_ms, markers)
        changed = numbering_changes.NumberedChanges()
        if parsed_changes:
            changed = await self._number_changes(parsed_changes, numbered.messages)
        return Plan(
            StoreBatch(
                through=last_of_each_partition(poll.records),
                messages=numbered.messages,
                ids=numbered.ids,
                markers=reached,
                heads=numbered.heads,
                changes=changed.changes,
                change_ids=changed.ids,
                change_heads=changed.heads,
            ),
            [*letters, *(dead_letter(record, cause) for record, cause in changed.invalid)],
            [
                # A change never before its message (EXACTNESS 20b).
                *map(MessageStored, numbered.messages),
                *(MessageChanged(c.conversation_id, c.seq, c.change) for c in changed.changes),
                *map(MarkerMoved, reached),
            ],
            moves,
        )

    def written(self, plan: Plan) -> None:
        """Cache the heads of a plan that is written, those of messages and of changes apart."""
        batch = plan.batch
        partitions = {m.conversation_id: m.log_position.partition for m in batch.messages}
        for conversation, partition in partitions.items():
            self._partitions[partition].heads[conversation] = batch.heads[conversation]
        partitions = {c.conversation_id: c.log_position.partition for c in batch.changes}
        for conversation, partition in partitions.items():
            cached = self._partitions[partition].change_heads
            cached[conversation] = batch.change_heads[conversation]

    async def _number_changes(
        self,
        changes: Sequence[tuple[LogRecord, ChangeRecord]],
        messages: Sequence[StoredMessage],
    ) -> numbering_changes.NumberedChanges:
        """Return the changes of a poll, numbered; `messages` are those of the same poll."""
        heads = await self._heads_of(
            changes, NO_CHANGE, lambda p: p.change_heads, self._store.change_heads
        )
        entries = await self._store.find_change_ids(
            [
                numbering_changes.change_key(change)
                for record, change in changes
                if numbering_changes.must_look_up_change(
                    record, change, heads[change.conversation_id]
                )
            ]
        )
        rows = await self._store.changes_at(
            [
                (change.conversation_id, record.log_position)
                for record, change in changes
                if record.log_position <= heads[change.conversation_id].log_position
            ]
        )
        among = numbering_changes.targets_among(messages)
        wanted = {TargetKey(change.conversation_id, change.seq) for _, change in changes}
        stored = await self._store.targets(sorted(wanted - among.keys()))
        return numbering_changes.number_changes(changes, heads, entries, rows, {**stored, **among})

    def _drop_stale_partitions(self, assignments: Mapping[int, int]) -> None:
        """Drop what was cached under another assignment than the present one (rule 2)."""
        self._partitions = {
            number: cached
            if (cached := self._partitions.get(number)) and cached.assignment == assignment
            else _Partition(assignment)
            for number, assignment in assignments.items()
        }

    async def _heads_of(
        self,
        records: Sequence[tuple[LogRecord, R]],
        none: H,
        cache: Callable[[_Partition], MutableMapping[ConversationId, H]],
        ask: Callable[[Sequence[ConversationId]], Awaitable[Mapping[ConversationId, H]]],
    ) -> dict[ConversationId, H]:
        """Return the head of every conversation of a batch, asking for those not cached."""
        heads: dict[ConversationId, H] = {}
        missing: list[ConversationId] = []
        for record, content in records:
            conversation = content.conversation_id
            if conversation not in heads:
                partition = self._partitions[record.log_position.partition]
                cached = cache(partition).get(conversation)
                if cached is None:
                    missing.append(conversation)
                heads[conversation] = none if cached is None else cached
        if missing:
            heads.update(await ask(missing))
        return heads


class _Parsed(NamedTuple):
    messages: list[tuple[LogRecord, MessageRecord]]
    markers: list[tuple[LogRecord, MarkerRecord]]
    changes: list[tuple[LogRecord, ChangeRecord]]
    letters: list[DeadLetter]
    moves: list[Move]


def _parse(
    records: Sequence[LogRecord], partition_of: Callable[[ConversationId], int] | None
) -> _Parsed:
    """Decode all before any is numbered: a bad record must not fail its batch (rule 1)."""
    parsed = _Parsed([], [], [], [], [])
    for record in records:
        try:
            content = decode_record(record.value)
        except MalformedRecord as error:
            parsed.letters.append(dead_letter(record, str(error)))
            continue
        conversation = content.conversation_id
        if partition_of is not None and partition_of(conversation) != record.log_position.partition:
            # Its key is not trusted: two partitions could number one conversation.
            parsed.moves.append(
                Move(conversation, mark_moved(record.value), record.headers, record)
            )
            continue
        match content:
            case MessageRecord():
                parsed.messages.append((record, content))
            case MarkerRecord():
                parsed.markers.append((record, content))
            case DeliveredRecord(delivered=delivered):
                parsed.markers.extend(
                    (record, MarkerRecord(conversation, username, seq, read_seq=0))
                    for username, seq in delivered.items()
                )
            case EditRecord() | DeletionRecord() | ReactionRecord():
                parsed.changes.append((record, content))
            case _:
                assert_never(content)
    return parsed


def dead_letter(record: LogRecord, cause: str) -> DeadLetter:
    """Return the letter of a record that can never be processed."""
    position, key, value = record.log_position, record.key, record.value
    return DeadLetter(position, cause, key, value, headers=record.headers)


def last_of_each_partition(records: Sequence[LogRecord]) -> tuple[LogPosition, ...]:
    """Return the last log position of these records in each of their partitions."""
    last = {(r.log_position.epoch, r.log_position.partition): r.log_position for r in records}
    return tuple(last.values())
