"""Read a conversation: pages of its history, and single messages."""

from collections.abc import Mapping
from dataclasses import dataclass

from chat4all.domain.errors import NotFound
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.messages import AllRead, Receipt, Status, StoredMessage
from chat4all.domain.people import Role
from chat4all.domain.records import MessageRecord
from chat4all.ports import Directory, MessageStore
from chat4all.usecases.changes import Changes, Unchanged
from chat4all.usecases.sending import Sending
from chat4all.usecases.shown_names import ShownNames

LIMIT_DEFAULT = 50
LIMIT_MAX = 200

NOTHING_YET = Receipt(0, 0, None, None)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Consecutive messages and where they stand.

    `body` is a JSON array of `wire.shapes.MessageView`, oldest first. `older` is the `before` of
    the next older page, `newer` the `after` of the next newer one; None when there is no such page.
    The page holds, statuses included, while its conversation is `unchanged`.
    """

    body: bytes
    unchanged: Unchanged
    older: int | None
    newer: int | None


class Reading:
    """Answers members, and nobody else."""

    def __init__(
        self,
        store: MessageStore,
        directory: Directory,
        sending: Sending,
        changes: Changes,
        names: ShownNames,
    ) -> None:
        self._store = store
        self._directory = directory
        self._sending = sending
        self._changes = changes
        self._names = names

    async def history(
        self,
        reader: Username,
        conversation: ConversationId,
        *,
        limit: int = LIMIT_DEFAULT,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
    ) -> HistoryPage:
        """Return at most one of: the page below `before`, above `after`, around `around`.

        With none of them, the newest page. Raises `NotFound` for who is not a member.
        """
        members = await self.members(reader, conversation)
        unchanged = self._changes.so_far(conversation, members)
        if around is not None:
            # Half of the page below, the message itself and the rest above; where the end is near
            # the page is filled up from below.
            after = max(0, around - limit // 2 - 1)
        all_read = await self._all_read(conversation, members, unchanged)
        page = await self._store.shown(
            conversation, all_read, limit=limit, before=before, after=after
        )
        if around is not None and page.size < limit:
            page = await self._store.shown(conversation, all_read, limit=limit)
        return HistoryPage(
            await self._names.in_page(page.body, members),
            unchanged,
            older=page.first if page.first > 1 else None,
            newer=page.last if page.more else None,
        )

    async def message(
        self, reader: Username, conversation: ConversationId, message_id: MessageId
    ) -> tuple[StoredMessage, Status] | MessageRecord:
        """Return one message: the reader's own of this id, else the first one that has it.

        A message that was just accepted here and is not stored yet is returned as its record.
        Raises `NotFound` when there is neither, and for who is not a member.
        """
        members = await self.members(reader, conversation)
        found = await self._store.with_id(conversation, message_id)
        if found:
            message = next((m for m in found if m.sender_id == reader), found[0])
            unchanged = self._changes.so_far(conversation, members)
            all_read = await self._all_read(conversation, members, unchanged)
            status = all_read.status(message)
            alias = await self._names.aliases([message.sender_id], members)
            return message.sent_by(alias.get(message.sender_id, message.sender_id)), status
        accepted = self._sending.recent(conversation, message_id, reader)
        if accepted is None:
            raise NotFound("no such message")
        return accepted

    async def receipts(
        self, reader: Username, conversation: ConversationId
    ) -> Mapping[Username, Receipt]:
        """Return how far each member has come, by name; `NotFound` to who is not one."""
        members = await self.members(reader, conversation)
        found = await self._store.receipts(conversation)
        return {name: found.get(name, NOTHING_YET) for name in sorted(members)}

    async def members(
        self, reader: Username, conversation: ConversationId
    ) -> Mapping[Username, Role]:
        """Return who is in a conversation to one of them; `NotFound` to everybody else."""
        members = await self._directory.members(conversation)
        if reader not in members:
            raise NotFound("no such conversation")
        return members

    async def _all_read(
        self,
        conversation: ConversationId,
        members: Mapping[Username, Role],
        unchanged: Unchanged,
    ) -> AllRead:
        """Return how far `members` have read, which is asked for anew after every change."""
        if unchanged.all_read is None:
            read = await self._store.read_seqs(conversation)
            unchanged.all_read = AllRead.by(members, read)
        return unchanged.all_read
