"""Reading what earlier routers wrote, also where they were interrupted."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from chat4all.adapters.cassandra.keys import BUCKET, BUCKET_MAX, bucket_of, position_of
from chat4all.adapters.cassandra.part import Part
from chat4all.adapters.cassandra.session import Row, together
from chat4all.domain.changes import ChangeHead
from chat4all.domain.ids import ChangeId, ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import Head
from chat4all.ports.store import ChangeRow, NumberedRow, Target, TargetKey


class _Numbered(NamedTuple):
    """A table whose rows are numbered in each conversation, and where its written head is."""

    head: str
    table: str
    number: str
    owner: str
    """The columns with the id that a row belongs to, and with whose it is."""

    @property
    def newest(self) -> str:
        return (
            f"SELECT {self.number}, log_position FROM {self.table} "
            f"WHERE conversation_id = ? AND bucket = ? ORDER BY {self.number} DESC LIMIT 1"
        )

    @property
    def oldest(self) -> str:
        return self.newest.replace("DESC", "ASC")

    @property
    def rows(self) -> str:
        return (
            f"SELECT {self.number}, {self.owner}, log_position FROM {self.table} "
            "WHERE conversation_id = ? AND bucket = ?"
        )


_MESSAGES = _Numbered(
    "SELECT seq, log_position FROM conversation_heads WHERE conversation_id = ?",
    "messages",
    "seq",
    "message_id, sender_id",
)
_CHANGES = _Numbered(
    "SELECT change, change_position FROM conversation_heads WHERE conversation_id = ?",
    "changes",
    "change",
    "change_id, author",
)
_TARGETS = (
    "SELECT seq, log_position, sender_id, toUnixTimestamp(deleted_at) FROM messages "
    "WHERE conversation_id = ? AND bucket = ? AND seq IN ?"
)


class _Last(NamedTuple):
    number: int
    log_position: LogPosition


class Recovery(Part):
    """Heads and rows as written, whether visible to readers or not."""

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        """Return the last written messages; see `ports.store.SequencedStore`."""
        last = await self._last(conversations, _MESSAGES)
        return {conversation: Head(*of_one) for conversation, of_one in last.items()}

    async def change_heads(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, ChangeHead]:
        """Return the last written changes; see `ports.store.SequencedChanges`."""
        last = await self._last(conversations, _CHANGES)
        return {conversation: ChangeHead(*of_one) for conversation, of_one in last.items()}

    async def at_positions(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, NumberedRow]:
        """Return what these records created; see `ports.store.SequencedStore`."""
        return {
            position: NumberedRow(seq, None if of is None else MessageId(str(of)), sender)
            for position, (seq, of, sender) in (await self._rows_at(positions, _MESSAGES)).items()
        }

    async def changes_at(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, ChangeRow]:
        """Return what these records created; see `ports.store.SequencedChanges`."""
        return {
            position: ChangeRow(change, None if of is None else ChangeId(str(of)), author)
            for position, (change, of, author) in (await self._rows_at(positions, _CHANGES)).items()
        }

    async def targets(self, keys: Sequence[TargetKey]) -> Mapping[TargetKey, Target]:
        """Return the messages of these numbers; see `ports.store.SequencedChanges`."""
        buckets = defaultdict[tuple[ConversationId, int], set[int]](set)
        for conversation, seq in keys:
            # No bucket above has rows, and none can be asked for: a record may name any number.
            if bucket_of(seq) <= BUCKET_MAX:
                buckets[conversation, bucket_of(seq)].add(seq)
        answers = await together(
            self._session.run(_TARGETS, (UUID(conversation), bucket, sorted(numbers)))
            for (conversation, bucket), numbers in buckets.items()
        )
        return {
            TargetKey(conversation, seq): Target(
                position_of(position),
                None if sender is None else Username(sender),
                deleted_ms is not None,
            )
            for (conversation, _), rows in zip(buckets, answers, strict=True)
            for seq, position, sender, deleted_ms in rows
            if position is not None
        }

    async def _last(
        self, conversations: Sequence[ConversationId], numbered: _Numbered
    ) -> dict[ConversationId, _Last]:
        found = await together(self._recover(one, numbered) for one in conversations)
        return {
            conversation: last
            for conversation, last in zip(conversations, found, strict=True)
            if last is not None
        }

    async def _recover(self, conversation: ConversationId, numbered: _Numbered) -> _Last | None:
        """Find the last row, from the written head on through full buckets (rule 3)."""
        key = UUID(conversation)
        last = _last_of(await self._session.run(numbered.head, (key,)))
        bucket = 0 if last is None else bucket_of(last.number)
        while rows := await self._session.run(numbered.newest, (key, bucket)):
            last = _last_of(rows)
            if last is None or (last.number + 1) % BUCKET:
                break
            bucket += 1
        return last

    async def _rows_at(
        self, positions: Sequence[tuple[ConversationId, LogPosition]], numbered: _Numbered
    ) -> dict[LogPosition, Row]:
        by_conversation = defaultdict[ConversationId, set[LogPosition]](set)
        for conversation, position in positions:
            by_conversation[conversation].add(position)
        answers = await together(self._created(*item, numbered) for item in by_conversation.items())
        return {position: row for answer in answers for position, row in answer.items()}

    async def _created(
        self, conversation: ConversationId, positions: set[LogPosition], numbered: _Numbered
    ) -> dict[LogPosition, Row]:
        """Return the rows that the records at these positions created: number, id, whose."""
        newest = await self._recover(conversation, numbered)
        if newest is None:
            return {}
        key, highest, last = UUID(conversation), max(positions), bucket_of(newest.number)
        found: dict[LogPosition, Row] = {}
        first = await self._bucket_with(key, min(positions), last, numbered)
        for bucket in range(first, last + 1):
            rows = await self._session.run(numbered.rows, (key, bucket))
            for *row, position in rows:
                if (at := position_of(position)) in positions:
                    found[at] = tuple(row)
            if any(position_of(position) >= highest for *_, position in rows):
                break
        return found

    async def _bucket_with(
        self, key: UUID, position: LogPosition, last: int, numbered: _Numbered
    ) -> int:
        """Return the bucket, at most `last`, that has a record's row, if there is one.

        A binary search: numbers and positions grow together.
        """
        first = 0
        while first < last:
            middle = (first + last + 1) // 2
            oldest = _last_of(await self._session.run(numbered.oldest, (key, middle)))
            if oldest is None or oldest.log_position > position:
                last = middle - 1
            else:
                first = middle
        return first


def _last_of(rows: Sequence[Row]) -> _Last | None:
    if not rows or rows[0][0] is None:
        return None
    number, position = rows[0]
    return _Last(number, position_of(position))
