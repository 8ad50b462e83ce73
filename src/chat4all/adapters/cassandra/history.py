"""Pages of a conversation, single messages and markers: what readers need."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from chat4all.adapters.cassandra.changed import ChangedTables
from chat4all.adapters.cassandra.keys import bucket_of, slot_of
from chat4all.adapters.cassandra.messages import MESSAGE, message_of
from chat4all.adapters.cassandra.part import FIND_IDS, HEAD, head_seq
from chat4all.adapters.cassandra.session import together
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.messages import AllRead, Receipt, StoredMessage
from chat4all.ports.history import EncodedPage
from chat4all.wire.messages import message_view

_BETWEEN = (
    f"SELECT {MESSAGE} FROM messages "
    "WHERE conversation_id = ? AND bucket = ? AND seq >= ? AND seq <= ? ORDER BY seq ASC"
)
_READ_SEQ = "SELECT read_seq FROM read_markers WHERE conversation_id = ? AND username = ?"
_READ_SEQS = "SELECT username, read_seq FROM read_markers WHERE conversation_id = ?"
_RECEIPTS = (
    "SELECT username, delivered_seq, read_seq, delivered_ms, read_ms FROM read_markers "
    "WHERE conversation_id = ?"
)

_encoder = msgspec.json.Encoder()


class CassandraHistory(ChangedTables):
    """`ports.history.History`."""

    async def head(self, conversation: ConversationId) -> int:
        """Return the newest visible number; see `ports.history.ConversationHeads`."""
        return head_seq(await self._session.run(HEAD, (UUID(conversation),)))

    async def read_seq(self, conversation: ConversationId, username: Username) -> int:
        """Return how far a reader has read; see `ports.history.MarkedHeads`."""
        rows = await self._session.run(_READ_SEQ, (UUID(conversation), username))
        return rows[0][0] or 0 if rows else 0

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
        # Before the rows: they may be ahead of the position, never behind it (EXACTNESS 20a).
        position = await self.position(conversation)
        head = position.seq
        if after is None:
            last = head if before is None else min(head, before - 1)
            first = max(1, last - limit + 1)
        else:
            first, last = after + 1, min(head, after + limit)
        messages = await self._between(conversation, first, last)
        if not messages:
            return EncodedPage(b"[]", 0, 0, more=False, position=position)
        first, last = messages[0].seq, messages[-1].seq
        views = [message_view(message, all_read.status(message)) for message in messages]
        names = frozenset(message.sender_id for message in messages)
        names = names.union(*(m.names for m in messages if m.reactions or not m.is_plain))
        return EncodedPage(_encoder.encode(views), first, last, last < head, names, position)

    async def with_id(
        self, conversation: ConversationId, message_id: MessageId
    ) -> Sequence[StoredMessage]:
        """Return the messages with this id; see `ports.history.History`."""
        key, uuid = UUID(conversation), UUID(message_id)
        heads, entries = await together(
            [
                self._session.run(HEAD, (key,)),
                self._session.run(FIND_IDS, (key, [slot_of(uuid)], [uuid])),
            ]
        )
        head = head_seq(heads)
        visible = [seq for _, _, seq, _ in entries if seq <= head]
        return await self._with_numbers(conversation, visible)

    async def read_seqs(self, conversation: ConversationId) -> Mapping[Username, int]:
        """Return how far each member has read; see `ports.history.History`."""
        heads, markers = await together(
            self._session.run(statement, (UUID(conversation),)) for statement in (HEAD, _READ_SEQS)
        )
        head = head_seq(heads)
        return {Username(name): min(read, head) for name, read in markers if read is not None}

    async def receipts(self, conversation: ConversationId) -> Mapping[Username, Receipt]:
        """Return what each reader has received and read; see `ports.history.History`."""
        heads, markers = await together(
            self._session.run(statement, (UUID(conversation),)) for statement in (HEAD, _RECEIPTS)
        )
        head = head_seq(heads)
        return {
            Username(name): Receipt.of(head, delivered or 0, read or 0, delivered_ms, read_ms)
            for name, delivered, read, delivered_ms, read_ms in markers
        }

    async def _between(
        self, conversation: ConversationId, first: int, last: int
    ) -> list[StoredMessage]:
        if first > last:
            return []
        answers = await together(
            self._session.run(_BETWEEN, (UUID(conversation), bucket, first, last))
            for bucket in range(bucket_of(first), bucket_of(last) + 1)
        )
        messages = [message_of(conversation, row) for rows in answers for row in rows]
        return await self._answering(conversation, messages)
