"""Move read markers. They travel through the log like messages."""

from cachetools import LRUCache

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.records import Headers, MarkerRecord
from chat4all.domain.roles import check_member
from chat4all.ports.directory import Members
from chat4all.ports.history import MarkedHeads
from chat4all.ports.log import MessageLog
from chat4all.wire.records import encode_record

MARKED_MAX = 10_000
"""Markers of this process that are cached: the store has each of them a moment later."""


class Marking:
    """Moves read markers, forwards only and at most to the head.

    A marker that is there already costs no record of the log.
    """

    def __init__(self, log: MessageLog, heads: MarkedHeads, members: Members) -> None:
        self._log = log
        self._heads = heads
        self._members = members
        self._marked: LRUCache[tuple[ConversationId, Username], int] = LRUCache(MARKED_MAX)

    async def read(
        self, username: Username, conversation: ConversationId, seq: int, headers: Headers = ()
    ) -> None:
        """Record that a member has read up to `seq`; one at or below an earlier one does nothing.

        `headers` travel beside the record.

        Raises `NotFound` for somebody who is not a member and `InvalidInput` for a number that the
        conversation has not reached. The bound is checked here, not by the router, whose verdict
        must not depend on timing (EXACTNESS 14).
        """
        check_member(await self._members.members(conversation), username)
        head = await self._heads.head(conversation)
        if seq > head:
            raise InvalidInput([FieldError("/seq", f"the conversation's last message is {head}")])
        await self._append(conversation, username, seq, headers)

    def forget(self) -> None:
        """Drop what is cached: the store has other numbers from now on (EXACTNESS 20h)."""
        self._marked = LRUCache(MARKED_MAX)

    async def join(self, username: Username, conversation: ConversationId) -> None:
        """Start a new member at the head: earlier messages do not count as unread.

        Called before the member is added, so that no member is without a marker; a marker of
        somebody who is not a member does no harm.
        """
        head = await self._heads.head(conversation)
        if head > 0:
            await self._append(conversation, username, head)

    async def _append(
        self, conversation: ConversationId, username: Username, seq: int, headers: Headers = ()
    ) -> None:
        key, marked = (conversation, username), self._marked
        if marked.get(key, 0) >= seq:
            return
        if await self._heads.read_seq(conversation, username) < seq:
            record = MarkerRecord(conversation, username, delivered_seq=seq, read_seq=seq)
            await self._log.append(conversation, encode_record(record), headers)
        # Markers only grow, in the log as in the store: what one of them has needs no other record.
        marked[key] = max(seq, marked.get(key, 0))
