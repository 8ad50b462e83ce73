"""How far members have received: noted as it happens, appended to the log in bulk (EXACTNESS 14).

A message to a thousand members would otherwise be a thousand records. One conversation gets at most
one record a second from a gateway, of at most `DELIVERED_MAX` members; the others wait for the next
one, and what they receive meanwhile takes no further room.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from itertools import islice

from cachetools import LRUCache

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.records import DeliveredRecord
from chat4all.ports.log import MessageLog
from chat4all.ports.summaries import ConversationSummaries
from chat4all.wire.records import DELIVERED_MAX, encode_record

REST_SECONDS = 1.0
"""Between two records of one conversation."""

AT_ONCE = 200
"""Conversations of one call of `append`."""

NOTED_MAX = 50_000
"""Markers that wait. Further ones are dropped: a later delivery, or reading, moves them too."""

CACHED_MAX = 10_000
"""Markers that are known to be in the log."""


class Delivered:
    """Moves delivered markers, forwards only. `append` is to be called several times a second."""

    def __init__(
        self,
        log: MessageLog,
        summaries: ConversationSummaries,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._summaries = summaries
        self._clock = clock
        self._noted: dict[ConversationId, dict[Username, int]] = {}
        self._count = 0
        """Of all that is noted."""
        self._resting: dict[ConversationId, float] = {}
        """Until when a conversation gets no further record, the first ones first."""
        self._known: LRUCache[tuple[ConversationId, Username], int] = LRUCache(CACHED_MAX)

    def note(self, conversation: ConversationId, username: Username, seq: int) -> None:
        """Note that a member has received everything up to `seq`; cheap, and it never waits."""
        if self._known.get((conversation, username), 0) >= seq:
            return
        noted = self._noted.get(conversation, {}).get(username, 0)
        if not noted:
            if self._count >= NOTED_MAX:
                return
            self._count += 1
        self._noted.setdefault(conversation, {})[username] = max(seq, noted)

    def forget(self) -> None:
        """Drop what is noted and known: the store has other numbers from now on (EXACTNESS 20h)."""
        self._noted, self._count = {}, 0
        self._known = LRUCache(CACHED_MAX)

    async def append(self) -> None:
        """Append what is due, unless the store has it already.

        Raises `Unavailable`; what could not be appended stays noted, and nothing else does.
        """
        known, left = self._known, self._take()
        if not left:
            return
        try:
            stored = await self._summaries.delivered_to(
                {conversation: [*of_one] for conversation, of_one in left.items()}
            )
            moved = {
                conversation: above
                for conversation, of_one in left.items()
                if (above := _above(of_one, stored.get(conversation, {})))
            }
            if self._known is not known:
                return  # forgotten meanwhile
            results = await asyncio.gather(
                *(
                    self._log.append(one, encode_record(DeliveredRecord(one, of_one)))
                    for one, of_one in moved.items()
                ),
                return_exceptions=True,
            )
            failed = {
                conversation: result
                for conversation, result in zip(moved, results, strict=True)
                if isinstance(result, BaseException)
            }
            for conversation in left.keys() - failed.keys():
                for username, seq in left.pop(conversation).items():
                    known[conversation, username] = seq
            for error in failed.values():
                raise error
        finally:
            if self._known is known:
                for conversation, of_one in left.items():
                    for username, seq in of_one.items():
                        self.note(conversation, username, seq)

    def _take(self) -> dict[ConversationId, dict[Username, int]]:
        """Return what is due, by conversation; it is not noted any more."""
        now = self._clock()
        while self._resting and (first := next(iter(self._resting.items())))[1] <= now:
            del self._resting[first[0]]
        taken: dict[ConversationId, dict[Username, int]] = {}
        for conversation in self._noted:
            if len(taken) >= AT_ONCE:
                break
            if conversation not in self._resting:
                taken[conversation] = {}
        for conversation, due in taken.items():
            of_one = self._noted[conversation]
            for username in [*islice(of_one, DELIVERED_MAX)]:
                due[username] = of_one.pop(username)
            self._count -= len(due)
            if not of_one:
                del self._noted[conversation]
            self._resting[conversation] = now + REST_SECONDS
        return taken


def _above(noted: Mapping[Username, int], stored: Mapping[Username, int]) -> dict[Username, int]:
    return {username: seq for username, seq in noted.items() if seq > stored.get(username, 0)}
