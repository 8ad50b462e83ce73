"""What lists of conversations need of the store."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Activity, Overview


class OverviewQuery(NamedTuple):
    """A query for one conversation: message `seq`, and how far `readers` have read, up to `seq`."""

    seq: int
    readers: Sequence[Username]


class MentionsQuery(NamedTuple):
    """A query for the messages above `after`, up to `through`, that mention a user."""

    username: Username
    after: int
    through: int


class ConversationSummaries(Protocol):
    """The newest messages of many conversations, in one round trip for all."""

    async def activity(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Activity]:
        """Return the newest visible message's number, and when the log took it.

        Never when its sender says that it was sent. Where the log's time is not known, because an
        earlier release wrote the conversation's head, it is when the message was sent, or when the
        store was upgraded if that is earlier.

        Conversations without messages are left out.
        """
        ...

    async def overviews(
        self, queries: Mapping[ConversationId, OverviewQuery]
    ) -> Mapping[ConversationId, Overview]:
        """Return what lists show of these conversations."""
        ...

    async def read_by(
        self, readers: Mapping[ConversationId, Sequence[Username]]
    ) -> Mapping[ConversationId, Mapping[Username, int]]:
        """Return how far these readers have read their conversations; those who have are named.

        A marker may be ahead of the conversation's head.
        """
        ...

    async def delivered_to(
        self, readers: Mapping[ConversationId, Sequence[Username]]
    ) -> Mapping[ConversationId, Mapping[Username, int]]:
        """Return how far these readers have received their conversations, as `read_by` does."""
        ...

    async def mentions(
        self, queries: Mapping[ConversationId, MentionsQuery]
    ) -> Mapping[ConversationId, Sequence[int]]:
        """Return the numbers of these messages, lowest first; conversations without are left out.

        The cost does not depend on messages that mention nobody.
        """
        ...
