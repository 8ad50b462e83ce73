"""Number every message.

Numbering is a function of the log. The outcome of a record depends on its bytes and metadata and on
rows written for earlier positions, never on a clock, a setting, the directory or chance: a router
that was killed, restarted or fell behind can only write what is already there. The rules are
in docs/exactness.md; each step below names its own.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, assert_never

from cachetools import LRUCache

from chat4all.domain.events import LiveEvent, MarkerMoved, MessageStored
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.messages import NO_HEAD, Head
from chat4all.domain.records import DeadLetter, Headers, LogRecord, MarkerRecord, MessageRecord
from chat4all.ports.log import Poll
from chat4all.ports.store import SequencedStore, StoreBatch
from chat4all.usecases import numbering_rules
from chat4all.usecases.markers import furthest
from chat4all.wire.records import MalformedRecord, decode_record, mark_moved

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


class Numbering:
    """Turns polls into plans. The caller writes each plan, then calls `written`.

    `partition_of` returns where a conversation's records belong; a log of one partition needs none.
    """

    def __init__(
        self,
        store: SequencedStore,
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
        messages, markers, letters, moves = _parse(poll.records, self._partition_of)
        heads = await self._heads(messages)
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
        return Plan(
            StoreBatch(
                through=last_of_each_partition(poll.records),
                messages=numbered.messages,
                ids=numbered.ids,
                markers=reached,
                heads=numbered.heads,
            ),
            letters,
            [
                *map(MessageStored, numbered.messages),
                *map(MarkerMoved, reached),
            ],
            moves,
        )

    def written(self, plan: Plan) -> None:
        """Cache the heads of a plan that is written."""
        partitions = {m.conversation_id: m.log_position.partition for m in plan.batch.messages}
        for conversation, partition in partitions.items():
            self._partitions[partition].heads[conversation] = plan.batch.heads[conversation]

    def _drop_stale_partitions(self, assignments: Mapping[int, int]) -> None:
        """Drop what was cached under another assignment than the present one (rule 2)."""
        self._partitions = {
            number: cached
            if (cached := self._partitions.get(number)) and cached.assignment == assignment
            else _Partition(assignment)
            for number, assignment in assignments.items()
        }

    async def _heads(
        self, messages: Sequence[tuple[LogRecord, MessageRecord]]
    ) -> dict[ConversationId, Head]:
        """Return the head of every conversation of a batch, asking for those not cached."""
        heads: dict[ConversationId, Head] = {}
        missing: list[ConversationId] = []
        for record, message in messages:
            conversation = message.conversation_id
            if conversation not in heads:
                cached = self._partitions[record.log_position.partition].heads.get(conversation)
                if cached is None:
                    missing.append(conversation)
                heads[conversation] = cached or NO_HEAD
        if missing:
            heads.update(await self._store.heads(missing))
        return heads


class _Parsed(NamedTuple):
    messages: list[tuple[LogRecord, MessageRecord]]
    markers: list[tuple[LogRecord, MarkerRecord]]
    letters: list[DeadLetter]
    moves: list[Move]


def _parse(
    records: Sequence[LogRecord], partition_of: Callable[[ConversationId], int] | None
) -> _Parsed:
    """Decode all before any is numbered: a bad record must not fail its batch (rule 1)."""
    parsed = _Parsed([], [], [], [])
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
