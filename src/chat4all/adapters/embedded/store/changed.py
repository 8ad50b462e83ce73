"""What became of messages: numbers of changes, messages as they are now, their versions."""

import sqlite3
from collections.abc import Sequence

from chat4all.adapters.embedded.store.changing import GIVEN
from chat4all.adapters.embedded.store.part import Part
from chat4all.adapters.embedded.store.rows import MESSAGE, message_of
from chat4all.domain.changes import (
    EDITS_MAX,
    Edited,
    MadeChange,
    Reacted,
    ReactionCount,
    Version,
    count_reactions,
)
from chat4all.domain.ids import ChangeId, ConversationId, Username
from chat4all.domain.messages import StoredMessage
from chat4all.domain.position import START, Position

_POSITION = 'SELECT seq, "change" FROM conversation_heads WHERE conversation_id = :conversation'
_CHANGED = """
SELECT "change", seq FROM changes
WHERE conversation_id = :conversation AND "change" > :after
  AND "change" <= (SELECT "change" FROM conversation_heads WHERE conversation_id = :conversation)
ORDER BY "change" LIMIT :limit
"""
_WITH_NUMBER = f"""
SELECT {MESSAGE} FROM messages WHERE conversation_id = :conversation AND seq = :seq
  AND seq <= (SELECT seq FROM conversation_heads WHERE conversation_id = :conversation)
"""
_VERSIONS = """
SELECT content, NULL FROM messages
WHERE conversation_id = :conversation AND seq = :seq
  AND deleted_at IS NULL AND edited_at IS NOT NULL
UNION ALL
SELECT * FROM (
    SELECT content, edited_at FROM edits
    WHERE conversation_id = :conversation AND seq = :seq
      AND (SELECT deleted_at IS NULL FROM messages
           WHERE conversation_id = :conversation AND seq = :seq)
    ORDER BY "change" LIMIT :most
)
"""
_MADE = """
SELECT changes.seq, edits.content, reactions.emoji, reactions.given, EXISTS (
    SELECT 1 FROM messages WHERE messages.conversation_id = changes.conversation_id
        AND messages.seq = changes.seq AND deleted_at NOT NULL
)
FROM change_ids JOIN changes USING (conversation_id, "change", author)
    LEFT JOIN edits USING (conversation_id, seq, "change")
    LEFT JOIN reactions ON reactions.conversation_id = changes.conversation_id
        AND reactions.seq = changes.seq AND reactions.username = changes.author
        AND reactions."change" = changes."change"
WHERE change_ids.conversation_id = :conversation AND change_ids.change_id = :id
  AND change_ids.author = :author
"""
_IS_DELETED = "SELECT 1 FROM messages WHERE (conversation_id, seq) = (?, ?) AND deleted_at NOT NULL"


class MessageChanges(Part):
    """`ports.history.ChangedMessages` and `MessageVersions`."""

    async def position(self, conversation: ConversationId) -> Position:
        """Return the newest visible numbers; see `ports.history.ChangedMessages`."""
        row = await self._database.read_one(_POSITION, {"conversation": conversation})
        return START if row is None else Position(*row)

    async def changed(
        self, conversation: ConversationId, *, after: int, limit: int
    ) -> Sequence[tuple[int, int]]:
        """Return changes and what they changed; see `ports.history.ChangedMessages`."""
        values = {"conversation": conversation, "after": after, "limit": limit}
        return await self._database.read(lambda db: db.execute(_CHANGED, values).fetchall())

    async def with_numbers(
        self, conversation: ConversationId, numbers: Sequence[int]
    ) -> Sequence[StoredMessage]:
        """Return messages as they are now; see `ports.history.ChangedMessages`."""

        def select(db: sqlite3.Connection) -> list[StoredMessage]:
            found = []
            for seq in sorted(set(numbers)):
                values = {"conversation": conversation, "seq": seq}
                row = db.execute(_WITH_NUMBER, values).fetchone()
                if row is not None:
                    found.append(message_of(row))
            return found

        return await self._database.read(select)

    async def versions(self, conversation: ConversationId, seq: int) -> Sequence[Version]:
        """Return every text of a message; see `ports.history.MessageVersions`."""
        values = {"conversation": conversation, "seq": seq, "most": EDITS_MAX}

        def select(db: sqlite3.Connection) -> list[Version]:
            return [Version(*row) for row in db.execute(_VERSIONS, values)]

        return await self._database.read(select)

    async def made(
        self, conversation: ConversationId, change_id: ChangeId, author: Username
    ) -> MadeChange | None:
        """Return the change that has an id; see `ports.history.MessageVersions`."""
        values = {"conversation": conversation, "id": change_id, "author": author}
        row = await self._database.read_one(_MADE, values)
        if row is None:
            return None
        seq, content, emoji, given, is_deleted = row
        if content is not None:
            return MadeChange(seq, Edited(content))
        effect = None if emoji is None else Reacted(emoji, bool(given))
        return MadeChange(seq, effect, bool(is_deleted))

    async def reactions(self, conversation: ConversationId, seq: int) -> Sequence[ReactionCount]:
        """Return the reactions to a message; see `ports.history.MessageVersions`."""

        def select(db: sqlite3.Connection) -> tuple[ReactionCount, ...]:
            if db.execute(_IS_DELETED, (conversation, seq)).fetchone():
                return ()
            return count_reactions(db.execute(GIVEN, (conversation, seq)), most=None)

        return await self._database.read(select)
