"""What a connection lacks: messages first, then changes, as they are now (EXACTNESS 20b)."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId
from chat4all.domain.position import Position
from chat4all.gateway.live.followers import Announced
from chat4all.gateway.live.membership import PresentMembers
from chat4all.gateway.live.runs import (
    Changes,
    Run,
    newest_consecutive,
    next_changes,
    run_of_announced,
    run_of_page,
)
from chat4all.ports.history import ChangedMessages
from chat4all.usecases.public_names import PublicNames
from chat4all.usecases.reading import Reading

PAGE = 100
"""Messages, or changes, that are read at once."""

NOT_STORED_YET = "the store does not have what was announced yet"


_log = logging.getLogger(__name__)


class RowsMissing(Exception):
    """Rows below the head are gone, deleted by an operator as a rule: nobody can be sent them.

    Who lacks them loads the conversation anew: they are never passed over without a word.
    """


class Known(NamedTuple):
    """What need not be asked of the store, since it was announced."""

    messages: Run | None
    changes: Mapping[int, int]
    """The messages that were changed, by the numbers of the changes."""


NOTHING = Known(None, {})


class NextRuns:
    """Reads what comes next in conversations, a bounded number of messages or changes at once."""

    def __init__(
        self,
        members: PresentMembers,
        reading: Reading,
        changed: ChangedMessages,
        names: PublicNames,
    ) -> None:
        self._members = members
        self._reading = reading
        self._changed = changed
        self._names = names

    async def head(self, conversation: ConversationId) -> Position:
        """Return the newest numbers that are stored."""
        return await self._changed.position(conversation)

    async def known(
        self, conversation: ConversationId, floor: Position, announced: Announced
    ) -> Known:
        """Return what was announced above a position as it can be sent.

        Messages that are changed already are not: they are read from the store as they are now. Nor
        are replies: the store knows what they answer as that is now.
        """
        changed = set(announced.changes.values())
        messages = newest_consecutive(
            [
                one
                for one in announced.messages
                if one.seq > floor.seq and one.seq not in changed and one.reply_seq is None
            ]
        )
        if not messages:
            return Known(None, announced.changes)
        members = await self._members.of(conversation)
        names = {name for one in messages for name in (one.sender_id, *one.mentions)}
        aliases = await self._names.aliases(names, members)
        return Known(run_of_announced(messages, aliases), announced.changes)

    async def after(
        self,
        conversation: ConversationId,
        position: Position,
        head: Position,
        known: Known = NOTHING,
    ) -> Run:
        """Return what comes right after a position, which the head is above.

        Raises `Unavailable`, also when the store does not have it yet, and `RowsMissing` when it
        has had it.
        """
        run = await self._after(conversation, position, head, known)
        if run is None:
            if not (await self._changed.position(conversation)).covers(head):
                raise Unavailable(NOT_STORED_YET)
            # It may have come only now.
            run = await self._after(conversation, position, head, NOTHING)
        if run is None:
            _log.warning(
                "rows of a conversation are missing from the store: its clients load it anew",
                extra={"conversation_id": conversation, "after": str(position)},
            )
            raise RowsMissing
        return run

    async def _after(
        self, conversation: ConversationId, position: Position, head: Position, known: Known
    ) -> Run | None:
        if position.seq < head.seq:
            return await self._messages(conversation, position.seq, head.seq, known.messages)
        return await self._changes(conversation, position.change, head.change, known.changes)

    async def _messages(
        self, conversation: ConversationId, after: int, head: int, announced: Run | None
    ) -> Run | None:
        if announced is not None and after < announced.last:
            if announced.first <= after + 1:
                return announced
            head = announced.first - 1
        members = await self._members.of(conversation)
        limit = min(PAGE, head - after)
        return run_of_page(await self._reading.above(conversation, members, after, limit), after)

    async def _changes(
        self, conversation: ConversationId, after: int, head: int, announced: Mapping[int, int]
    ) -> Run | None:
        numbers = next_changes(announced.items(), after, PAGE)
        if not numbers:
            limit = min(PAGE, head - after)
            stored = await self._changed.changed(conversation, after=after, limit=limit)
            numbers = next_changes(stored, after, limit)
        seqs = {seq for _, seq in numbers}
        members = await self._members.of(conversation)
        # Once the changes are known, not before: what is shown may not be from before them.
        messages = await self._reading.numbered(conversation, members, seqs)
        return Changes(numbers, messages) if numbers and messages.keys() >= seqs else None
