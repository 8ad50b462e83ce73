"""Read a conversation: pages of its history, and single messages."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from chat4all.domain.errors import NotFound
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.messages import AllRead, Receipt, StoredMessage, own_or_first
from chat4all.domain.people import Role
from chat4all.domain.position import START, Position
from chat4all.domain.roles import check_member
from chat4all.ports.directory import Members
from chat4all.ports.history import EncodedPage, ShownMessages
from chat4all.usecases.public_names import PublicNames
from chat4all.usecases.sending import Sending
from chat4all.usecases.versions import ConversationVersion, ConversationVersions
from chat4all.wire.messages import MessageView, accepted_view, message_view

LIMIT_DEFAULT = 50
LIMIT_MAX = 200

NOTHING_YET = Receipt(0, 0, None, None)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Consecutive messages, and the bounds of the pages next to them.

    `body` is a JSON array of `wire.messages.MessageView`, oldest first. `older` is the `before` of
    the next older page, `newer` the `after` of the next newer one; None when there is no such page.
    `last` is the newest number on it; 0 when it is empty.
    It was read at `position`, and may be ahead of it, never behind (EXACTNESS 20a).
    The page is valid, statuses included, while its conversation is at this `version`.
    """

    body: bytes
    version: ConversationVersion
    older: int | None
    newer: int | None
    position: Position = START
    last: int = 0


class Reading:
    """Reads conversations, for their members only."""

    def __init__(
        self,
        history: ShownMessages,
        members: Members,
        sending: Sending,
        versions: ConversationVersions,
        names: PublicNames,
    ) -> None:
        self._history = history
        self._members = members
        self._sending = sending
        self._versions = versions
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
        """Return the page below `before`, above `after` or around `around`; by default the newest.

        At most one of the three may be given. Raises `NotFound` unless `reader` is a member.
        """
        members = await self.members(reader, conversation)
        version = self._versions.current(conversation, members)
        if around is not None:
            # Half of the page below, the message itself and the rest above; near the end the page
            # is filled up from below.
            after = max(0, around - limit // 2 - 1)
        all_read = await self._all_read(conversation, members, version)
        page = await self._history.page(
            conversation, all_read, limit=limit, before=before, after=after
        )
        if around is not None and page.size < limit:
            page = await self._history.page(conversation, all_read, limit=limit)
        return HistoryPage(
            await self._names.in_page(page, members),
            version,
            older=page.first if page.first > 1 else None,
            newer=page.last if page.more else None,
            position=page.position,
            last=page.last,
        )

    async def above(
        self,
        conversation: ConversationId,
        members: Mapping[Username, Role],
        after: int,
        limit: int,
    ) -> EncodedPage:
        """Return the oldest messages above `after`, as these members read them."""
        version = self._versions.current(conversation, members)
        all_read = await self._all_read(conversation, members, version)
        page = await self._history.page(conversation, all_read, limit=limit, after=after)
        return replace(page, body=await self._names.in_page(page, members))

    async def numbered(
        self,
        conversation: ConversationId,
        members: Mapping[Username, Role],
        numbers: Collection[int],
    ) -> Mapping[int, MessageView]:
        """Return the messages that have these numbers, by them, as these members read them now."""
        found = await self._history.with_numbers(conversation, sorted(numbers))
        views = await self._views(conversation, members, found)
        return {message.seq: view for message, view in zip(found, views, strict=True)}

    async def message(
        self, reader: Username, conversation: ConversationId, message_id: MessageId
    ) -> MessageView:
        """Return one message: the reader's own of this id, else the first one that has it.

        A message that was just accepted here and is not stored yet is `SENT`, without a number.
        Raises `NotFound` when there is neither, and unless `reader` is a member.
        """
        members = await self.members(reader, conversation)
        messages = await self._history.with_id(conversation, message_id)
        if messages:
            (view,) = await self._views(conversation, members, [own_or_first(messages, reader)])
            return view
        accepted = self._sending.recent(conversation, message_id, reader)
        if accepted is None:
            raise NotFound("no such message")
        return accepted_view(accepted)

    async def receipts(
        self, reader: Username, conversation: ConversationId
    ) -> Mapping[Username, Receipt]:
        """Return how far each member has come, by name; `NotFound` unless `reader` is one."""
        members = await self.members(reader, conversation)
        receipts = await self._history.receipts(conversation)
        return {name: receipts.get(name, NOTHING_YET) for name in sorted(members)}

    async def members(
        self, reader: Username, conversation: ConversationId
    ) -> Mapping[Username, Role]:
        """Return the members of a conversation; `NotFound` unless `reader` is one of them."""
        members = await self._members.members(conversation)
        check_member(members, reader)
        return members

    async def _views(
        self,
        conversation: ConversationId,
        members: Mapping[Username, Role],
        messages: Sequence[StoredMessage],
    ) -> list[MessageView]:
        """Return messages as these members read them."""
        version = self._versions.current(conversation, members)
        all_read = await self._all_read(conversation, members, version)
        names = frozenset[Username]().union(*(message.names for message in messages))
        aliases = await self._names.aliases(names, members)
        return [message_view(one.under(aliases), all_read.status(one)) for one in messages]

    async def _all_read(
        self,
        conversation: ConversationId,
        members: Mapping[Username, Role],
        version: ConversationVersion,
    ) -> AllRead:
        """Return how far `members` have read; the store is asked once for each version."""
        if version.all_read is None:
            read = await self._history.read_seqs(conversation)
            version.all_read = AllRead.by(members, read)
        return version.all_read
