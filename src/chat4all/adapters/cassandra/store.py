"""The message store on Cassandra: a partition's rows in one batch, stamped by the log (rule 5)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from chat4all.adapters.cassandra.session import CassandraSession, Row, Statement, together
from chat4all.domain.ids import BEFORE_ALL, ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import (
    Activity,
    AllRead,
    Head,
    Marker,
    Overview,
    Receipt,
    Status,
    StoredMessage,
)
from chat4all.ports.history import EncodedPage
from chat4all.ports.store import IdEntry, IdKey, NumberedRow, StoreBatch
from chat4all.ports.summaries import OverviewQuery
from chat4all.wire.messages import message_view

BUCKET = 1_000
"""Numbers in one partition of `messages`: 64 MiB at the very most."""

SLOTS = 16
"""Partitions of `message_ids` in one conversation."""

BATCH_BYTES = 1024 * 1024
"""A batch is cut before it has more than this; Cassandra refuses one of 16 MiB."""

ROW_BYTES = 200
"""What a row has beside its text, and a little more."""

IDS_ASKED_MAX = 50
"""Ids of one conversation that are looked up in one request: each slot is asked for all of them."""

PACK_PARTITIONS = 10
"""Partitions whose writes travel in one request; of more Cassandra warns."""

HEADS_ASKED_MAX = 20
"""Heads that are asked for in one request; its coordinator asks for each of them."""

PACK_BYTES = 4 * 1024
"""Of such a request; of more than 5 KiB Cassandra warns, and above 50 KiB it refuses."""

_encoder = msgspec.json.Encoder()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_COLUMNS = "seq, message_id, sender_id, content, toUnixTimestamp(created_at), log_position"
_PUT_MESSAGE = (
    "INSERT INTO messages (conversation_id, bucket, seq, message_id, sender_id, content, "
    "created_at, status, log_position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_ID = (
    "INSERT INTO message_ids (conversation_id, slot, message_id, sender_id, seq, log_position) "
    "VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_MARKER = (
    "INSERT INTO read_markers (conversation_id, username, delivered_seq, read_seq, delivered_ms, "
    "read_ms) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_DELIVERED = (
    "INSERT INTO read_markers (conversation_id, username, delivered_seq, delivered_ms) "
    "VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_READ = (
    "INSERT INTO read_markers (conversation_id, username, read_seq, read_ms) "
    "VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_HEAD = (
    "INSERT INTO conversation_heads (conversation_id, seq, log_position) VALUES (?, ?, ?) "
    "USING TIMESTAMP ?"
)
_PUT_HEAD_WITH_TIME = (
    "INSERT INTO conversation_heads (conversation_id, seq, log_position, created_at) "
    "VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)
_HEAD = "SELECT seq, log_position FROM conversation_heads WHERE conversation_id = ?"
_NEWEST = (
    "SELECT seq, log_position, toUnixTimestamp(created_at) FROM messages "
    "WHERE conversation_id = ? AND bucket = ? ORDER BY seq DESC LIMIT 1"
)
_OLDEST = _NEWEST.replace("DESC", "ASC")
_ROWS = (
    "SELECT seq, message_id, sender_id, log_position FROM messages "
    "WHERE conversation_id = ? AND bucket = ?"
)
_BETWEEN = (
    f"SELECT {_COLUMNS} FROM messages "
    "WHERE conversation_id = ? AND bucket = ? AND seq >= ? AND seq <= ? ORDER BY seq ASC"
)
_NUMBERED = f"SELECT {_COLUMNS} FROM messages WHERE conversation_id = ? AND bucket = ? AND seq IN ?"
_IDS = (
    "SELECT message_id, sender_id, seq, log_position FROM message_ids "
    "WHERE conversation_id = ? AND slot IN ? AND message_id IN ?"
)
_MARKERS = "SELECT username, read_seq FROM read_markers WHERE conversation_id = ?"
_RECEIPTS = (
    "SELECT username, delivered_seq, read_seq, delivered_ms, read_ms FROM read_markers "
    "WHERE conversation_id = ?"
)
_READ_BY = "SELECT username, read_seq FROM read_markers WHERE conversation_id = ? AND username IN ?"
_ACTIVITY = (
    "SELECT conversation_id, seq, toUnixTimestamp(created_at) FROM conversation_heads "
    "WHERE conversation_id IN ?"
)
_PING = "SELECT seq FROM conversation_heads LIMIT 1"


def log_timestamp(position: LogPosition) -> int:
    """Return the write time of what a record says: a later record's is higher (EXACTNESS 5).

    Above that of migrated rows (0) and below every clock's, in which one is some 2⁵⁰ µs.
    """
    return (position.epoch << 40) + position.offset + 1


def first_wins_timestamp(position: LogPosition) -> int:
    """Return the write time of what the first record to say it decides: a later one's is lower."""
    return (1 << 49) - log_timestamp(position)


class CassandraStore:
    """MessageStore on the tables of `migrations/`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        """Return the last written messages; see `ports.store.SequencedStore`."""
        found = await together(self._recover(conversation) for conversation in conversations)
        return {
            conversation: head
            for conversation, head in zip(conversations, found, strict=True)
            if head is not None
        }

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        """Return where ids were first used; see `ports.store.SequencedStore`."""
        wanted = set(keys)
        by_conversation = defaultdict[ConversationId, list[UUID]](list)
        for conversation, message_id in {(key.conversation_id, key.message_id) for key in wanted}:
            by_conversation[conversation].append(UUID(message_id))
        asked = [
            (conversation, ids[first : first + IDS_ASKED_MAX])
            for conversation, ids in by_conversation.items()
            for first in range(0, len(ids), IDS_ASKED_MAX)
        ]
        answers = await together(
            self._session.run(
                _IDS, (UUID(conversation), list({one.int % SLOTS for one in ids}), ids)
            )
            for conversation, ids in asked
        )
        found = {}
        for (conversation, _), rows in zip(asked, answers, strict=True):
            for message_id, sender, seq, position in rows:
                key = IdKey(conversation, MessageId(str(message_id)), Username(sender))
                if key in wanted:
                    found[key] = IdEntry(seq, _position(position))
        return found

    async def at_positions(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, NumberedRow]:
        """Return what these records created; see `ports.store.SequencedStore`."""
        wanted = defaultdict[ConversationId, set[LogPosition]](set)
        for conversation, position in positions:
            wanted[conversation].add(position)
        answers = await together(self._created(*item) for item in wanted.items())
        return {place: row for answer in answers for place, row in answer.items()}

    async def write(self, batch: StoreBatch) -> None:
        """Write stage by stage, each acknowledged before the next; see `ports.store`."""
        by_conversation = defaultdict[ConversationId, list[StoredMessage]](list)
        for message in batch.messages:
            by_conversation[message.conversation_id].append(message)
        parts = [list(in_batches(messages)) for messages in by_conversation.values()]
        statements = [[[_put_message(m) for m in part] for part in each] for each in parts]
        long = [each for each in statements if len(each) > 1]
        short = in_packs(each[0] for each in statements if len(each) == 1)
        await together([*map(self._one_after_the_other, long), *map(self._session.batch, short)])

        ids = defaultdict[tuple[UUID, int], list[Statement]](list)
        for key, entry in batch.ids.items():
            conversation, message_id = UUID(key.conversation_id), UUID(key.message_id)
            slot = message_id.int % SLOTS
            at = tuple(entry.log_position)
            stamp = first_wins_timestamp(entry.log_position)
            values = (conversation, slot, message_id, key.sender_id, entry.seq, at, stamp)
            ids[conversation, slot].append((_PUT_ID, values))
        await together(map(self._session.batch, in_packs(ids.values())))

        markers = defaultdict[ConversationId, list[Statement]](list)
        for marker in batch.markers:
            markers[marker.conversation_id] += _put_marker(marker)
        await together(map(self._session.batch, in_packs(markers.values())))

        heads = ([_put_head(*item)] for item in batch.heads.items())
        await together(map(self._session.batch, in_packs(heads)))

    async def head(self, conversation: ConversationId) -> int:
        """Return the newest visible number; see `ports.history.ConversationHeads`."""
        rows = await self._session.run(_HEAD, (UUID(conversation),))
        return rows[0][0] if rows else 0

    async def page(
        self,
        conversation: ConversationId,
        all_read: AllRead,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> EncodedPage:
        """Return consecutive messages as readers see them; see `ports.history.History`."""
        head = await self.head(conversation)
        if after is None:
            last = head if before is None else min(head, before - 1)
            first = max(1, last - limit + 1)
        else:
            first, last = after + 1, min(head, after + limit)
        messages = await self._between(conversation, first, last)
        if not messages:
            return EncodedPage(b"[]", 0, 0, more=False)
        first, last = messages[0].seq, messages[-1].seq
        views = [message_view(message, all_read.status(message)) for message in messages]
        senders = frozenset(message.sender_id for message in messages)
        return EncodedPage(_encoder.encode(views), first, last, last < head, senders)

    async def receipts(self, conversation: ConversationId) -> Mapping[Username, Receipt]:
        """Return how far each reader has come; see `ports.store.SequencedStore`."""
        heads, markers = await together(
            self._session.run(statement, (UUID(conversation),)) for statement in (_HEAD, _RECEIPTS)
        )
        head = heads[0][0] if heads else 0
        return {
            Username(name): Receipt(
                min(delivered or 0, head), min(read or 0, head), delivered_ms, read_ms
            )
            for name, delivered, read, delivered_ms, read_ms in markers
        }

    async def activity(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Activity]:
        """Return the newest messages' numbers and times; see `ports.store.SequencedStore`."""
        keys = [UUID(conversation) for conversation in conversations]
        answers = await together(
            self._session.run(_ACTIVITY, (keys[first : first + HEADS_ASKED_MAX],))
            for first in range(0, len(keys), HEADS_ASKED_MAX)
        )
        rows = [(ConversationId(str(row[0])), row[1], row[2]) for rows in answers for row in rows]
        found = {key: Activity(seq, _time(ms)) for key, seq, ms in rows if ms is not None}
        # Heads that an earlier release wrote have no time.
        untimed = [(key, seq) for key, seq, ms in rows if ms is None]
        messages = await together(self._numbered(key, [seq]) for key, seq in untimed)
        for (key, seq), message in zip(untimed, messages, strict=True):
            found[key] = Activity(seq, message[0].created_at if message else "")
        return found

    async def overviews(
        self, asked: Mapping[ConversationId, OverviewQuery]
    ) -> Mapping[ConversationId, Overview]:
        """Return what lists show; see `ports.store.SequencedStore`."""
        last = [self._numbered(key, [one.seq]) for key, one in asked.items()]
        readers = [
            self._session.run(_READ_BY, (UUID(key), list(one.readers)))
            for key, one in asked.items()
        ]
        found: Sequence[Any] = await together([*last, *readers])
        messages, markers = found[: len(asked)], found[len(asked) :]
        return {
            key: Overview(
                message[0] if message else None,
                {Username(name): min(read, one.seq) for name, read in rows if read is not None},
            )
            for (key, one), message, rows in zip(asked.items(), messages, markers, strict=True)
        }

    async def read_seqs(self, conversation: ConversationId) -> Mapping[Username, int]:
        """Return how far everybody has read; see `ports.store.SequencedStore`."""
        heads, markers = await together(
            self._session.run(statement, (UUID(conversation),)) for statement in (_HEAD, _MARKERS)
        )
        head = heads[0][0] if heads else 0
        return {Username(name): min(read, head) for name, read in markers if read is not None}

    async def with_id(
        self, conversation: ConversationId, message_id: MessageId
    ) -> Sequence[StoredMessage]:
        """Return the messages with this id; see `ports.store.SequencedStore`."""
        found = UUID(message_id)
        heads, ids = await together(
            [
                self._session.run(_HEAD, (UUID(conversation),)),
                self._session.run(_IDS, (UUID(conversation), [found.int % SLOTS], [found])),
            ]
        )
        head = heads[0][0] if heads else 0
        return await self._numbered(conversation, [seq for _, _, seq, _ in ids if seq <= head])

    async def ping(self) -> None:
        """Return when the store can be read."""
        await self._session.run(_PING)

    async def _recover(self, conversation: ConversationId) -> Head | None:
        """Find the last row: from the head that was written on, through full buckets (rule 3)."""
        rows = await self._session.run(_HEAD, (UUID(conversation),))
        head = _head(rows)
        bucket = 0 if head is None else head.seq // BUCKET
        while rows := await self._session.run(_NEWEST, (UUID(conversation), bucket)):
            head = _head(rows)
            if head is None or (head.seq + 1) % BUCKET:
                break
            bucket += 1
        return head

    async def _created(
        self, conversation: ConversationId, positions: set[LogPosition]
    ) -> dict[LogPosition, NumberedRow]:
        """Return the rows that the records at these positions made.

        Numbers and positions grow together: the bucket of the lowest position is found by halving.
        """
        head = await self._recover(conversation)
        if head is None:
            return {}
        key, lowest, highest = UUID(conversation), min(positions), max(positions)
        first, last = 0, head.seq // BUCKET
        while first < last:
            middle = (first + last + 1) // 2
            oldest = _head(await self._session.run(_OLDEST, (key, middle)))
            if oldest is None or oldest.log_position > lowest:
                last = middle - 1
            else:
                first = middle
        found: dict[LogPosition, NumberedRow] = {}
        for bucket in range(first, head.seq // BUCKET + 1):
            rows = await self._session.run(_ROWS, (key, bucket))
            for seq, message_id, sender, at in rows:
                if (place := _position(at)) in positions:
                    known = None if message_id is None else MessageId(str(message_id))
                    found[place] = NumberedRow(seq, known, sender)
            if any(_position(at) >= highest for *_, at in rows):
                break
        return found

    async def _one_after_the_other(self, batches: Sequence[Sequence[Statement]]) -> None:
        """Write one conversation's messages in the order of their numbers (rule 3)."""
        for batch in batches:
            await self._session.batch(batch)

    async def _between(
        self, conversation: ConversationId, first: int, last: int
    ) -> list[StoredMessage]:
        if first > last:
            return []
        answers = await together(
            self._session.run(_BETWEEN, (UUID(conversation), bucket, first, last))
            for bucket in range(first // BUCKET, last // BUCKET + 1)
        )
        return [_message(conversation, row) for rows in answers for row in rows]

    async def _numbered(
        self, conversation: ConversationId, numbers: Sequence[int]
    ) -> list[StoredMessage]:
        buckets = defaultdict[int, list[int]](list)
        for seq in numbers:
            buckets[seq // BUCKET].append(seq)
        answers = await together(
            self._session.run(_NUMBERED, (UUID(conversation), bucket, seqs))
            for bucket, seqs in buckets.items()
        )
        found = [_message(conversation, row) for rows in answers for row in rows]
        return sorted(found, key=lambda message: message.seq)


def in_batches(messages: Sequence[StoredMessage]) -> Iterator[list[StoredMessage]]:
    """Cut one conversation's messages, in their order, into batches of one bucket each."""
    part: list[StoredMessage] = []
    size = 0
    for message in messages:
        weight = len(message.content.encode()) + ROW_BYTES
        if part and (message.seq // BUCKET != part[0].seq // BUCKET or size + weight > BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(message)
        size += weight
    yield part


def in_packs(groups: Iterable[Sequence[Statement]]) -> Iterator[list[Statement]]:
    """Put small groups together, each of which writes to a partition of its own.

    Cassandra takes a request apart again: each partition is still written whole or not at all, and
    no group waits for another. It saves requests, which are what a router spends its time on.
    """
    pack: list[Statement] = []
    partitions = size = 0
    for group in groups:
        weight = sum(map(_weight, group))
        if pack and (partitions == PACK_PARTITIONS or size + weight > PACK_BYTES):
            yield pack
            pack, partitions, size = [], 0, 0
        pack += group
        partitions += 1
        size += weight
    if pack:
        yield pack


def _weight(statement: Statement) -> int:
    """Return about how many bytes a statement writes, rather too many."""
    texts = (value for value in statement[1] if isinstance(value, str))
    return ROW_BYTES + sum(len(text) * (1 if text.isascii() else 4) for text in texts)


def _put_head(conversation: ConversationId, head: Head) -> Statement:
    key = (UUID(conversation), head.seq, tuple(head.log_position))
    if not head.created_at:  # never a null that was inserted (EXACTNESS 5)
        return _PUT_HEAD, (*key, log_timestamp(head.log_position))
    created_at = datetime.fromisoformat(head.created_at)
    return _PUT_HEAD_WITH_TIME, (*key, created_at, log_timestamp(head.log_position))


def _put_message(message: StoredMessage) -> Statement:
    return _PUT_MESSAGE, (
        UUID(message.conversation_id),
        message.seq // BUCKET,
        message.seq,
        UUID(message.message_id),
        message.sender_id,
        message.content,
        datetime.fromisoformat(message.created_at),
        Status.DELIVERED.value,
        tuple(message.log_position),
        log_timestamp(message.log_position),
    )


def _put_marker(marker: Marker) -> list[Statement]:
    """Two numbers that grow by themselves: the write time of each is itself (EXACTNESS 14).

    So is that of the time beside it: a lower number's never comes in the place of a higher one's.
    Of two equal numbers Cassandra keeps the larger value, which is the later time.
    """
    key = (UUID(marker.conversation_id), marker.username)
    delivered, read = marker.delivered_seq, marker.read_seq
    delivered_ms, read_ms = marker.delivered_ms, marker.read_ms
    if delivered == read:  # as after sending: one statement instead of two
        return [(_PUT_MARKER, (*key, delivered, read, delivered_ms, read_ms, read))]
    return [
        (_PUT_DELIVERED, (*key, delivered, delivered_ms, delivered)),
        (_PUT_READ, (*key, read, read_ms, read)),
    ]


def _head(rows: Sequence[Row]) -> Head | None:
    if not rows:
        return None
    seq, position, *times = rows[0]
    created_ms = times[0] if times else None
    return Head(seq, _position(position), "" if created_ms is None else _time(created_ms))


def _position(found: tuple[int, int, int] | None) -> LogPosition:
    return BEFORE_ALL if found is None else LogPosition(*found)


def _time(ms: int) -> str:
    when = _EPOCH + ms * _MILLISECOND
    return when.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _message(conversation: ConversationId, row: Row) -> StoredMessage:
    seq, message_id, sender, content, created_ms, position = row
    return StoredMessage(
        conversation,
        seq,
        MessageId(str(message_id)),
        Username(sender),
        content,
        _time(created_ms),
        _position(position),
    )
