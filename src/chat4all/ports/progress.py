"""How far the routers have come."""

from collections.abc import Collection
from typing import Protocol

from chat4all.domain.ids import ConversationId


class LogProgress(Protocol):
    """Compares the log with what is stored of it."""

    async def passed(self, conversations: Collection[ConversationId]) -> Collection[ConversationId]:
        """Return those of which all that the log has now is stored, or put aside.

        Waits a few seconds for the others. Raises `Unavailable`.
        """
        ...
