"""The log of messages, for which uploads give way."""

from chat4all.concurrency.pacing import Pace
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Headers
from chat4all.ports.log import MessageLog


class UrgentLog:
    """A log whose appends are urgent, from their begin to their end."""

    def __init__(self, log: MessageLog, pace: Pace) -> None:
        self._log = log
        self._pace = pace

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        """See `ports.log.MessageLog`."""
        with self._pace.urgent():
            return await self._log.append(key, value, headers)

    def makes_fresh_ids(self) -> bool:
        """See `ports.log.MessageLog`."""
        return self._log.makes_fresh_ids()
