"""Give every message its place: the one verb that must never be wrong.

Numbering is a function of the log. What a record comes to depends on its own bytes and metadata and
on rows written for earlier positions, never on a clock, a setting, the directory or luck; so that a
router that was killed, restarted or left behind can only write what is already there. The rules are
in docs/exactness.md; each step below names its own.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, assert_never

from cachetools import LRUCache

from chat4all.domain.errors import RouterStopped
from chat4all.domain.events import LiveEvent, MarkerMoved, MessageStored
from chat4all.domain.ids import ConversationId, LogPosition, Username, uuid7_time
from chat4all.domain.messages import NO_HEAD, Head, Marker, StoredMessage
from chat4all.domain.records import DeadLetter, Headers, LogRecord, MarkerRecord, MessageRecord
from chat4all.ports.log import Poll
from chat4all.ports.store import IdEntry, IdKey, NumberedRow, SequencedStore, StoreBatch
from chat4all.wire.records import MalformedRecord, decode_record, mark_moved

FRESH_MS = 1_000
"""A gateway's own id that the log stamped within this time cannot have been retried before: a
gateway says "unknown" no sooner than 2 s after it made the id (rule 6)."""

HEADS_MAX = 100_000
"""Conversations whose head is cached in one partition."""


class Move(NamedTuple):
    """A record that is in the wrong partition: to be appended again, where it belongs (rule 9)."""

    conversation: ConversationId
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Plan:
    """What one poll comes to, before anything is written."""

    batch: StoreBatch
    letters: Sequence[DeadLetter]
    events: Sequence[LiveEvent]
    moves: Sequence[Move] = ()


@dataclass(slots=True)
class _Partition:
    """The state of one partition, thrown away with its assignment (rule 2)."""

    assignment: int
    heads: MutableMapping[ConversationId, Head] = field(default_factory=lambda: LRUCache(HEADS_MAX))


class Numbering:
    """Turns polls into plans. The caller writes each plan, then says `written`.

    `partition_of` says where a conversation's records belong; a log of one partition needs none.
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
        log, and `Unavailable` when the store cannot be asked; nothing has changed then, and the
        same poll may be planned again.
        """
        self._keep_only(poll.assignments)
        messages, markers, letters, moves = _parse(poll.records, self._partition_of)
        heads = await self._heads(messages)
        entries = await self._store.find_ids(
            [
                _key(message)
                for record, message in messages
                if _must_look_up(record, message, heads[message.conversation_id])
            ]
        )
        rows = await self._store.at_positions(
            [
                (message.conversation_id, record.log_position)
                for record, message in messages
                if record.log_position <= heads[message.conversation_id].log_position
            ]
        )
        numbered = _number(messages, heads, entries, rows)
        appended_ms = {record.log_position: record.appended_ms for record, _ in messages}
        reached = _furthest(numbered.messages, appended_ms, markers)
        return Plan(
            StoreBatch(
                through=_last_of_each_partition(poll.records),
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
        """Remember the heads of a plan that the store now holds."""
        places = {m.conversation_id: m.log_position.partition for m in plan.batch.messages}
        for conversation, partition in places.items():
            self._partitions[partition].heads[conversation] = plan.batch.heads[conversation]

    def _keep_only(self, assignments: Mapping[int, int]) -> None:
        """Forget whatever was learned under another assignment than the present one (rule 2)."""
        self._partitions = {
            number: known
            if (known := self._partitions.get(number)) and known.assignment == assignment
            else _Partition(assignment)
            for number, assignment in assignments.items()
        }

    async def _heads(
        self, messages: Sequence[tuple[LogRecord, MessageRecord]]
    ) -> dict[ConversationId, Head]:
        """Return the head of every conversation of a batch, asking for those not remembered."""
        heads: dict[ConversationId, Head] = {}
        unknown: list[ConversationId] = []
        for record, message in messages:
            conversation = message.conversation_id
            if conversation not in heads:
                known = self._partitions[record.log_position.partition].heads.get(conversation)
                if known is None:
                    unknown.append(conversation)
                heads[conversation] = known or NO_HEAD
        if unknown:
            heads.update(await self._store.heads(unknown))
        return heads


class _Parsed(NamedTuple):
    messages: list[tuple[LogRecord, MessageRecord]]
    markers: list[tuple[LogRecord, MarkerRecord]]
    letters: list[DeadLetter]
    moves: list[Move]


def _parse(
    records: Sequence[LogRecord], partition_of: Callable[[ConversationId], int] | None
) -> _Parsed:
    """Read all before any is numbered: a bad record must not take its batch along (rule 1)."""
    parsed = _Parsed([], [], [], [])
    for record in records:
        try:
            found = decode_record(record.value)
        except MalformedRecord as error:
            parsed.letters.append(
                DeadLetter(record.log_position, str(error), record.key, record.value)
            )
            continue
        conversation = found.conversation_id
        if partition_of is not None and partition_of(conversation) != record.log_position.partition:
            # Its key is not believed: two partitions would number one conversation.
            parsed.moves.append(Move(conversation, mark_moved(record.value), record.headers))
            continue
        match found:
            case MessageRecord():
                parsed.messages.append((record, found))
            case MarkerRecord():
                parsed.markers.append((record, found))
            case _:
                assert_never(found)
    return parsed


def _must_look_up(record: LogRecord, message: MessageRecord, head: Head) -> bool:
    """Say whether this id may have been used at an earlier position (rule 6)."""
    if record.log_position <= head.log_position:
        return True
    made = uuid7_time(message.message_id)
    return (
        made is None
        or not message.fresh
        or message.moved
        or not record.log_append_time
        or not 0 <= record.appended_ms - made <= FRESH_MS
    )


@dataclass(slots=True)
class _Numbered:
    messages: list[StoredMessage] = field(default_factory=list)
    ids: dict[IdKey, IdEntry] = field(default_factory=dict)
    heads: dict[ConversationId, Head] = field(default_factory=dict)


def _number(
    messages: Sequence[tuple[LogRecord, MessageRecord]],
    watermarks: Mapping[ConversationId, Head],
    entries: Mapping[IdKey, IdEntry],
    rows: Mapping[LogPosition, NumberedRow],
) -> _Numbered:
    """Judge messages in log order against their heads, known ids and, for replays, known rows."""
    done = _Numbered(heads={key: head for key, head in watermarks.items() if head is not NO_HEAD})
    for record, message in messages:
        conversation, position = message.conversation_id, record.log_position
        key = _key(message)
        first = done.ids.get(key) or entries.get(key)
        if position <= watermarks[conversation].log_position:
            seq = _number_of_replay(position, message, rows.get(position), first)
        else:
            seq = _number_of_new(position, done.heads.get(conversation, NO_HEAD), first)
            if seq is not None:
                done.heads[conversation] = Head(seq, position, message.created_at)
        if seq is not None:
            done.ids.setdefault(key, IdEntry(seq, position))
            done.messages.append(_stored(message, seq, position))
    return done


def _number_of_replay(
    position: LogPosition,
    message: MessageRecord,
    row: NumberedRow | None,
    first: IdEntry | None,
) -> int | None:
    """Return the number that a record at or below the watermark has; None for a duplicate (rule 4).

    With a number, all its writes are made again: what was written after its row may be missing.
    """
    if row is not None:
        known, sender = row.message_id, row.sender_id
        if known is not None and (known, sender) != (message.message_id, message.sender_id):
            raise _contradiction(position, "its row is another message's")
        return row.seq
    if first is not None and first.log_position < position:
        return None
    raise _contradiction(position, "it is below the head and has no row")


def _number_of_new(position: LogPosition, head: Head, first: IdEntry | None) -> int | None:
    """Return the next number, or None when the id was used before (rule 6)."""
    seq = head.seq + 1
    if first is None:
        return seq
    if first.log_position < position:
        return None
    if first == IdEntry(seq, position):
        return seq  # another router was faster; this one writes the same again
    raise _contradiction(position, "its id is known with another number or from later on")


def _contradiction(position: LogPosition, what: str) -> RouterStopped:
    return RouterStopped(
        f"the record at epoch {position.epoch}, partition {position.partition}, offset "
        f"{position.offset} contradicts the store: {what}; nothing was written for it"
    )


def _key(message: MessageRecord) -> IdKey:
    return IdKey(message.conversation_id, message.message_id, message.sender_id)


def _stored(message: MessageRecord, seq: int, position: LogPosition) -> StoredMessage:
    return StoredMessage(
        message.conversation_id,
        seq,
        message.message_id,
        message.sender_id,
        message.content,
        message.created_at,
        position,
    )


_NOT_REACHED = (0, 0, 0, 0)


def _furthest(
    messages: Iterable[StoredMessage],
    appended_ms: Mapping[LogPosition, int],
    markers: Iterable[tuple[LogRecord, MarkerRecord]],
) -> Sequence[Marker]:
    """Return one marker a member and conversation: who sends has read up to there (rule 14)."""
    reached: dict[tuple[ConversationId, Username], tuple[int, int, int, int]] = {}
    for m in messages:
        place = (m.conversation_id, m.sender_id)
        delivered, delivered_ms, read, read_ms = reached.get(place, _NOT_REACHED)
        at = appended_ms[m.log_position]
        # Of equal numbers the later time counts, as it does in the store: what is together in a
        # batch must not matter.
        delivered, delivered_ms = max((delivered, delivered_ms), (m.seq, at))
        read, read_ms = max((read, read_ms), (m.seq, at))
        reached[place] = (delivered, delivered_ms, read, read_ms)
    for record, marker in markers:
        place = (marker.conversation_id, marker.username)
        delivered, delivered_ms, read, read_ms = reached.get(place, _NOT_REACHED)
        at = record.appended_ms
        # What is read was delivered, whatever the record says.
        said = max(marker.delivered_seq, marker.read_seq)
        delivered, delivered_ms = max((delivered, delivered_ms), (said, at))
        read, read_ms = max((read, read_ms), (marker.read_seq, at))
        reached[place] = (delivered, delivered_ms, read, read_ms)
    return [
        Marker(*place, delivered, read, delivered_ms, read_ms)
        for place, (delivered, delivered_ms, read, read_ms) in reached.items()
    ]


def _last_of_each_partition(records: Sequence[LogRecord]) -> tuple[LogPosition, ...]:
    last = {(r.log_position.epoch, r.log_position.partition): r.log_position for r in records}
    return tuple(last.values())
