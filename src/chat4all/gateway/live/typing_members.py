"""Members who type: told to the other members, lossy, and stored nowhere."""

import logging

from chat4all.concurrency.keyed import KeyedWork
from chat4all.concurrency.outages import OutageLog
from chat4all.domain.events import Typing
from chat4all.domain.roles import check_member
from chat4all.gateway.live.membership import PresentMembers
from chat4all.ports.feed import Announcements

AT_ONCE = 32
WAITING_MAX = 1_000
"""Further ones are dropped."""

_log = logging.getLogger(__name__)


class TypingMembers:
    """Announces who types on the feed. A feed that does not answer loses it."""

    def __init__(self, members: PresentMembers, announcements: Announcements) -> None:
        self._members = members
        self._announcements = announcements
        outages = OutageLog(_log, "who types is not told", "who types is told again")
        self._work = KeyedWork(self._announce, outages, at_once=AT_ONCE)

    async def say(self, typing: Typing) -> None:
        """Tell it soon. Raises `NotFound` for somebody who is not a member."""
        check_member(await self._members.of(typing.conversation_id), typing.username)
        if len(self._work) < WAITING_MAX:
            self._work.mark(typing)

    async def close(self) -> None:
        """Tell nothing more."""
        await self._work.close()

    async def _announce(self, typing: Typing) -> None:
        await self._announcements.announce([typing])
