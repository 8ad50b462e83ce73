"""Move read markers. They travel through the log like messages."""

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.records import Headers, MarkerRecord
from chat4all.domain.roles import check_member
from chat4all.ports.directory import Members
from chat4all.ports.history import ConversationHeads
from chat4all.ports.log import MessageLog
from chat4all.wire.records import encode_record


class Marking:
    """Moves read markers, forwards only and at most to the head."""

    def __init__(self, log: MessageLog, heads: ConversationHeads, members: Members) -> None:
        self._log = log
        self._heads = heads
        self._members = members

    async def read(
        self, username: Username, conversation: ConversationId, seq: int, headers: Headers = ()
    ) -> None:
        """Record that a member has read up to `seq`; a number below an earlier one does nothing.

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
        record = MarkerRecord(conversation, username, delivered_seq=seq, read_seq=seq)
        await self._log.append(conversation, encode_record(record), headers)
