"""What became of messages: numbers of changes, messages as they are now, their versions."""

from collections.abc import Sequence
from uuid import UUID

from chat4all.adapters.cassandra.keys import bucket_of, slot_of
from chat4all.adapters.cassandra.messages import reaction_of, reactions_in
from chat4all.adapters.cassandra.part import HEAD, Part, position_in
from chat4all.adapters.cassandra.session import together
from chat4all.domain.changes import (
    EDITS_MAX,
    Edited,
    MadeChange,
    ReactionCount,
    Version,
    count_reactions,
)
from chat4all.domain.ids import ChangeId, ConversationId, Username
from chat4all.domain.messages import StoredMessage
from chat4all.domain.position import Position
from chat4all.domain.times import format_milliseconds

_CHANGED = (
    "SELECT change, seq FROM changes WHERE conversation_id = ? AND bucket = ? "
    "AND change >= ? AND change <= ? ORDER BY change ASC"
)
_STATE = (
    "SELECT content, toUnixTimestamp(deleted_at), reactions FROM messages "
    "WHERE conversation_id = ? AND bucket = ? AND seq = ?"
)
_EDITS = (
    "SELECT content, toUnixTimestamp(edited_at) FROM edits "
    f"WHERE conversation_id = ? AND bucket = ? AND seq = ? LIMIT {EDITS_MAX}"
)

_MADE_AS = (
    "SELECT change FROM change_ids "
    "WHERE conversation_id = ? AND slot = ? AND change_id = ? AND author = ?"
)
_MADE = "SELECT seq FROM changes WHERE conversation_id = ? AND bucket = ? AND change = ?"
_EDIT = (
    "SELECT content FROM edits WHERE conversation_id = ? AND bucket = ? AND seq = ? AND change = ?"
)


class ChangedTables(Part):
    """`ports.history.ChangedMessages` and `MessageVersions`."""

    async def position(self, conversation: ConversationId) -> Position:
        """Return the newest visible numbers; see `ports.history.ChangedMessages`."""
        return position_in(await self._session.run(HEAD, (UUID(conversation),)))

    async def changed(
        self, conversation: ConversationId, *, after: int, limit: int
    ) -> Sequence[tuple[int, int]]:
        """Return changes and what they changed; see `ports.history.ChangedMessages`."""
        head = (await self.position(conversation)).change
        first, last = after + 1, min(head, after + limit)
        if first > last:
            return []
        answers = await together(
            self._session.run(_CHANGED, (UUID(conversation), bucket, first, last))
            for bucket in range(bucket_of(first), bucket_of(last) + 1)
        )
        return [(change, seq) for rows in answers for change, seq in rows]

    async def with_numbers(
        self, conversation: ConversationId, numbers: Sequence[int]
    ) -> Sequence[StoredMessage]:
        """Return messages as they are now; see `ports.history.ChangedMessages`."""
        head = (await self.position(conversation)).seq
        return await self._with_numbers(conversation, sorted({n for n in numbers if n <= head}))

    async def versions(self, conversation: ConversationId, seq: int) -> Sequence[Version]:
        """Return every text of a message; see `ports.history.MessageVersions`."""
        place = (UUID(conversation), bucket_of(seq), seq)
        edits = await self._session.run(_EDITS, place)
        if not edits:
            return []
        # After the edits: of a message that is deleted meanwhile nothing is shown.
        ((content, deleted_ms, _),) = await self._session.run(_STATE, place)
        if deleted_ms is not None:
            return []
        texts = [Version(text, format_milliseconds(ms)) for text, ms in edits if ms is not None]
        return [Version(content, None), *texts]

    async def made(
        self, conversation: ConversationId, change_id: ChangeId, author: Username
    ) -> MadeChange | None:
        """Return the change that has an id; see `ports.history.MessageVersions`."""
        key, made = UUID(conversation), UUID(change_id)
        ids = await self._session.run(_MADE_AS, (key, slot_of(made), made, author))
        for (change,) in ids:
            for (seq,) in await self._session.run(_MADE, (key, bucket_of(change), change)):
                place = (key, bucket_of(seq), seq)
                for (content,) in await self._session.run(_EDIT, (*place, change)):
                    return MadeChange(seq, Edited(content))
                for _, deleted_ms, cells in await self._session.run(_STATE, place):
                    return MadeChange(seq, reaction_of(cells, change), deleted_ms is not None)
        return None

    async def reactions(self, conversation: ConversationId, seq: int) -> Sequence[ReactionCount]:
        """Return the reactions to a message; see `ports.history.MessageVersions`."""
        place = (UUID(conversation), bucket_of(seq), seq)
        for _, deleted_ms, cells in await self._session.run(_STATE, place):
            if deleted_ms is None:
                return count_reactions(reactions_in(cells), most=None)
        return ()
