"""The common base of the store's parts: the session, and reading messages and heads."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from chat4all.adapters.cassandra.keys import bucket_of
from chat4all.adapters.cassandra.messages import MESSAGE, message_of
from chat4all.adapters.cassandra.session import CassandraSession, Row, together
from chat4all.domain.ids import ConversationId
from chat4all.domain.messages import StoredMessage
from chat4all.domain.position import START, Position

HEAD = "SELECT seq, log_position, change FROM conversation_heads WHERE conversation_id = ?"
FIND_IDS = (
    "SELECT message_id, sender_id, seq, log_position FROM message_ids "
    "WHERE conversation_id = ? AND slot IN ? AND message_id IN ?"
)
_WITH_NUMBERS = (
    f"SELECT {MESSAGE} FROM messages WHERE conversation_id = ? AND bucket = ? AND seq IN ?"
)


class Part:
    """Some of the tables of a keyspace. All parts of a store share one session."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    async def _with_numbers(
        self, conversation: ConversationId, numbers: Sequence[int]
    ) -> list[StoredMessage]:
        """Return the messages that have these numbers, lowest first."""
        return await self._answering(conversation, await self._rows(conversation, numbers))

    async def _answering(
        self, conversation: ConversationId, messages: list[StoredMessage]
    ) -> list[StoredMessage]:
        """Return messages with those that they answer: all of these are read at once.

        A reply to a message that is not there, or not before it, answers none: other producers may
        write any number.
        """
        wanted = {m.reply_seq for m in messages if m.reply_seq and m.reply_seq < m.seq}
        if not wanted:
            return messages
        answered = {one.seq: one.as_reply() for one in await self._rows(conversation, wanted)}
        return [
            replace(message, reply_to=answered.get(message.reply_seq))
            if message.reply_seq in wanted and message.reply_seq < message.seq
            else message
            for message in messages
        ]

    async def _rows(
        self, conversation: ConversationId, numbers: Iterable[int]
    ) -> list[StoredMessage]:
        buckets = defaultdict[int, list[int]](list)
        for seq in numbers:
            buckets[bucket_of(seq)].append(seq)
        answers = await together(
            self._session.run(_WITH_NUMBERS, (UUID(conversation), bucket, seqs))
            for bucket, seqs in buckets.items()
        )
        messages = [message_of(conversation, row) for rows in answers for row in rows]
        return sorted(messages, key=lambda message: message.seq)


def position_in(rows: Sequence[Row]) -> Position:
    """Return the position in the answer to `HEAD`."""
    if not rows:
        return START
    seq, _, change = rows[0]
    return Position(seq or 0, change or 0)


def head_seq(rows: Sequence[Row]) -> int:
    """Return the number of the newest message in the answer to `HEAD`; 0 where there is none."""
    return position_in(rows).seq
