"""Reading what earlier routers wrote, also where they were interrupted."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from chat4all.adapters.cassandra.keys import BUCKET, bucket_of, position_of
from chat4all.adapters.cassandra.part import HEAD, Part
from chat4all.adapters.cassandra.session import Row, together
from chat4all.domain.ids import ConversationId, LogPosition, MessageId
from chat4all.domain.messages import Head
from chat4all.ports.store import NumberedRow

_NEWEST = (
    "SELECT seq, log_position FROM messages "
    "WHERE conversation_id = ? AND bucket = ? ORDER BY seq DESC LIMIT 1"
)
_OLDEST = _NEWEST.replace("DESC", "ASC")
_ROWS = (
    "SELECT seq, message_id, sender_id, log_position FROM messages "
    "WHERE conversation_id = ? AND bucket = ?"
)


class Recovery(Part):
    """Heads and rows as written, whether visible to readers or not."""

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        """Return the last written messages; see `ports.store.SequencedStore`."""
        heads = await together(self._recover(conversation) for conversation in conversations)
        return {
            conversation: head
            for conversation, head in zip(conversations, heads, strict=True)
            if head is not None
        }

    async def at_positions(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, NumberedRow]:
        """Return what these records created; see `ports.store.SequencedStore`."""
        by_conversation = defaultdict[ConversationId, set[LogPosition]](set)
        for conversation, position in positions:
            by_conversation[conversation].add(position)
        answers = await together(self._created(*item) for item in by_conversation.items())
        return {position: row for answer in answers for position, row in answer.items()}

    async def _recover(self, conversation: ConversationId) -> Head | None:
        """Find the last row, from the written head on through full buckets (rule 3)."""
        head = _head(await self._session.run(HEAD, (UUID(conversation),)))
        bucket = 0 if head is None else bucket_of(head.seq)
        while rows := await self._session.run(_NEWEST, (UUID(conversation), bucket)):
            head = _head(rows)
            if head is None or (head.seq + 1) % BUCKET:
                break
            bucket += 1
        return head

    async def _created(
        self, conversation: ConversationId, positions: set[LogPosition]
    ) -> dict[LogPosition, NumberedRow]:
        """Return the rows that the records at these positions created."""
        head = await self._recover(conversation)
        if head is None:
            return {}
        key, highest, last = UUID(conversation), max(positions), bucket_of(head.seq)
        found: dict[LogPosition, NumberedRow] = {}
        for bucket in range(await self._bucket_with(key, min(positions), last), last + 1):
            rows = await self._session.run(_ROWS, (key, bucket))
            for seq, message_id, sender, position in rows:
                if (at := position_of(position)) in positions:
                    of = None if message_id is None else MessageId(str(message_id))
                    found[at] = NumberedRow(seq, of, sender)
            if any(position_of(position) >= highest for *_, position in rows):
                break
        return found

    async def _bucket_with(self, key: UUID, position: LogPosition, last: int) -> int:
        """Return the bucket, at most `last`, that has a record's row, if there is one.

        A binary search: numbers and positions grow together.
        """
        first = 0
        while first < last:
            middle = (first + last + 1) // 2
            oldest = _head(await self._session.run(_OLDEST, (key, middle)))
            if oldest is None or oldest.log_position > position:
                last = middle - 1
            else:
                first = middle
        return first


def _head(rows: Sequence[Row]) -> Head | None:
    if not rows:
        return None
    seq, position = rows[0]
    return Head(seq, position_of(position))
