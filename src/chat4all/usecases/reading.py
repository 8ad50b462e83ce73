"""Read a conversation: pages of its history, and single messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chat4all.domain.errors import NotFound
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.messages import Page, Status, StoredMessage
from chat4all.domain.people import Role
from chat4all.domain.records import MessageRecord
from chat4all.ports import Directory, MessageStore
from chat4all.usecases.sending import Sending

LIMIT_DEFAULT = 50
LIMIT_MAX = 200


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Consecutive messages, oldest first, each with its status, and where the page stands.

    `older` is the `before` of the next older page, `newer` the `after` of the next newer one; None
    when there is no such page. The statuses are those for these `members`.
    """

    messages: Sequence[tuple[StoredMessage, Status]]
    members: Mapping[Username, Role]
    older: int | None
    newer: int | None


class Reading:
    """Answers members, and nobody else."""

    def __init__(self, store: MessageStore, directory: Directory, sending: Sending) -> None:
        self._store = store
        self._directory = directory
        self._sending = sending

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
        members = await self._members(reader, conversation)
        if around is not None:
            # Half of the page below, the message itself and the rest above; where the end is near
            # the page is filled up from below.
            after = max(0, around - limit // 2 - 1)
        page = await self._store.page(conversation, limit=limit, before=before, after=after)
        if around is not None and len(page.messages) < limit:
            page = await self._store.page(conversation, limit=limit)
        first, last = (page.messages[0].seq, page.messages[-1].seq) if page.messages else (0, 0)
        return HistoryPage(
            _with_status(page, members),
            members,
            older=first if first > 1 else None,
            newer=last if 0 < last < page.head else None,
        )

    async def message(
        self, reader: Username, conversation: ConversationId, message_id: MessageId
    ) -> tuple[StoredMessage, Status] | MessageRecord:
        """Return one message: the reader's own of this id, else the first one that has it.

        A message that was just accepted here and is not stored yet is returned as its record.
        Raises `NotFound` when there is neither, and for who is not a member.
        """
        members = await self._members(reader, conversation)
        found = await self._store.with_id(conversation, message_id)
        if found:
            message = next((m for m in found if m.sender_id == reader), found[0])
            page = await self._store.page(conversation, limit=1, after=message.seq - 1)
            return _with_status(page, members)[0]
        accepted = self._sending.recent(conversation, message_id, reader)
        if accepted is None:
            raise NotFound("no such message")
        return accepted

    async def _members(
        self, reader: Username, conversation: ConversationId
    ) -> Mapping[Username, Role]:
        members = await self._directory.members(conversation)
        if reader not in members:
            raise NotFound("no such conversation")
        return members


def _with_status(
    page: Page, members: Mapping[Username, Role]
) -> Sequence[tuple[StoredMessage, Status]]:
    """Say of each message whether every member other than its sender has read it (EXACTNESS 14)."""
    least, second = _two_least({name: page.read.get(name, 0) for name in members})

    def status(message: StoredMessage) -> Status:
        others, _ = second if message.sender_id == least[1] else least
        return Status.READ if message.seq <= others else Status.DELIVERED

    return [(message, status(message)) for message in page.messages]


def _two_least(
    read: Mapping[Username, int],
) -> tuple[tuple[int, Username | None], tuple[int, Username | None]]:
    """Return the two members who have read least, as (read_seq, name); (0, None) for nobody.

    They are enough for a whole page: whoever wrote a message, the other members' least is one of
    the two.
    """
    ranked = sorted((seq, name) for name, seq in read.items())[:2]
    nobody: tuple[int, Username | None] = (0, None)
    return (ranked[0] if ranked else nobody, ranked[1] if len(ranked) > 1 else nobody)
