"""What readers need of the store: pages of a conversation, single messages, markers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chat4all.domain.changes import MadeChange, ReactionCount, Version
from chat4all.domain.ids import ChangeId, ConversationId, MessageId, Username
from chat4all.domain.messages import AllRead, Receipt, StoredMessage
from chat4all.domain.position import START, Position


@dataclass(frozen=True, slots=True)
class EncodedPage:
    """Consecutive messages as readers see them.

    `body` is a JSON array of `wire.messages.MessageView`, oldest first; `first` and `last` are the
    numbers at its ends, 0 when it is empty; `more` says whether newer messages follow; `names`
    are the users whom they name, each once. The messages may be ahead of `position`, never behind
    it (EXACTNESS 20a).
    """

    body: bytes
    first: int
    last: int
    more: bool
    names: frozenset[Username] = frozenset()
    position: Position = START

    @property
    def size(self) -> int:
        """How many messages it has: their numbers have no holes."""
        return self.last - self.first + 1 if self.first else 0


class ConversationHeads(Protocol):
    """The newest number of a conversation."""

    async def head(self, conversation: ConversationId) -> int:
        """Return the newest visible number; 0 for a conversation without messages."""
        ...


class MarkedHeads(ConversationHeads, Protocol):
    """The newest number of a conversation, and how far one of its readers has come."""

    async def read_seq(self, conversation: ConversationId, username: Username) -> int:
        """Return a reader's `read_seq`; 0 where there is none. It may be ahead of the head."""
        ...


class MessagesById(Protocol):
    """A conversation's messages by their ids, none above its head."""

    async def with_id(
        self, conversation: ConversationId, message_id: MessageId
    ) -> Sequence[StoredMessage]:
        """Return the visible messages with this id, one a sender, lowest number first."""
        ...


class History(MessagesById, Protocol):
    """A conversation's messages, none above its head."""

    async def page(
        self,
        conversation: ConversationId,
        all_read: AllRead,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> EncodedPage:
        """Return up to `limit` consecutive messages, with the statuses that `all_read` gives them.

        The newest ones below `before` (exclusive), or the oldest ones above `after` (exclusive),
        or, with neither, the newest. The cost is the same wherever the page is. It is encoded
        because history is read more often than anything else: a store that can make JSON itself
        builds no objects first.
        """
        ...

    async def read_seqs(self, conversation: ConversationId) -> Mapping[Username, int]:
        """Return each reader's `read_seq`, at most the head.

        A marker may be ahead of what this store has yet.
        """
        ...

    async def receipts(self, conversation: ConversationId) -> Mapping[Username, Receipt]:
        """Return what each reader has received and read, at most the head."""
        ...


class ChangedMessages(Protocol):
    """What became of a conversation's messages, none of it above its head.

    After an announcement or a break: `position` is read first, the rest after it.
    """

    async def position(self, conversation: ConversationId) -> Position:
        """Return the newest visible numbers of messages and changes."""
        ...

    async def changed(
        self, conversation: ConversationId, *, after: int, limit: int
    ) -> Sequence[tuple[int, int]]:
        """Return the oldest visible changes above `after`, each with the `seq` that it changed."""
        ...

    async def with_numbers(
        self, conversation: ConversationId, numbers: Sequence[int]
    ) -> Sequence[StoredMessage]:
        """Return the messages that have these numbers as they are now, lowest number first."""
        ...


class ShownMessages(History, ChangedMessages, Protocol):
    """What is asked of the store to show messages."""


class MessageVersions(Protocol):
    """What a message was before, by which changes, and who reacted to it."""

    async def versions(self, conversation: ConversationId, seq: int) -> Sequence[Version]:
        """Return every text that a message had, its first one included, earliest first.

        Empty when it was never edited, and once it is deleted.
        """
        ...

    async def made(
        self, conversation: ConversationId, change_id: ChangeId, author: Username
    ) -> MadeChange | None:
        """Return the change that an author has made under an id; None if there is none."""
        ...

    async def reactions(self, conversation: ConversationId, seq: int) -> Sequence[ReactionCount]:
        """Return the reactions to a message with all names; none once it is deleted."""
        ...


class ChangeableMessages(History, MessageVersions, Protocol):
    """What is asked of the store before a message is changed."""
