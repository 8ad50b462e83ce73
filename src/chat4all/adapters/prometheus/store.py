"""A `MessageStore` that is timed."""

from collections.abc import Mapping, Sequence

from chat4all.adapters.prometheus.timing import Timings
from chat4all.domain.ids import ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import Activity, AllRead, Head, Overview, Page, Receipt, StoredMessage
from chat4all.ports import (
    AskedOverview,
    IdEntry,
    IdKey,
    MessageStore,
    NumberedRow,
    ShownPage,
    StoreBatch,
)

READS = (
    "heads",
    "page",
    "shown",
    "read_seqs",
    "receipts",
    "activity",
    "overviews",
    "with_id",
)
"""What a gateway asks of a store."""

ROUTING = ("heads", "find_ids", "at_positions", "write")
"""What a router asks of a store."""


class MeasuredStore:
    """Passes everything on. `timings` has the operations that are asked for."""

    def __init__(self, store: MessageStore, timings: Timings) -> None:
        self._store = store
        self._time = timings.time

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        """See `ports.MessageStore`."""
        return await self._time("heads", self._store.heads(conversations))

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        """See `ports.MessageStore`."""
        return await self._time("find_ids", self._store.find_ids(keys))

    async def at_positions(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, NumberedRow]:
        """See `ports.MessageStore`."""
        return await self._time("at_positions", self._store.at_positions(positions))

    async def write(self, batch: StoreBatch) -> None:
        """See `ports.MessageStore`."""
        await self._time("write", self._store.write(batch))

    async def page(
        self,
        conversation: ConversationId,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> Page:
        """See `ports.MessageStore`."""
        page = self._store.page(conversation, limit=limit, before=before, after=after)
        return await self._time("page", page)

    async def shown(
        self,
        conversation: ConversationId,
        all_read: AllRead,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> ShownPage:
        """See `ports.MessageStore`."""
        page = self._store.shown(conversation, all_read, limit=limit, before=before, after=after)
        return await self._time("shown", page)

    async def read_seqs(self, conversation: ConversationId) -> Mapping[Username, int]:
        """See `ports.MessageStore`."""
        return await self._time("read_seqs", self._store.read_seqs(conversation))

    async def receipts(self, conversation: ConversationId) -> Mapping[Username, Receipt]:
        """See `ports.MessageStore`."""
        return await self._time("receipts", self._store.receipts(conversation))

    async def activity(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Activity]:
        """See `ports.MessageStore`."""
        return await self._time("activity", self._store.activity(conversations))

    async def overviews(
        self, asked: Mapping[ConversationId, AskedOverview]
    ) -> Mapping[ConversationId, Overview]:
        """See `ports.MessageStore`."""
        return await self._time("overviews", self._store.overviews(asked))

    async def with_id(
        self, conversation: ConversationId, message_id: MessageId
    ) -> Sequence[StoredMessage]:
        """See `ports.MessageStore`."""
        return await self._time("with_id", self._store.with_id(conversation, message_id))

    async def ping(self) -> None:
        """See `ports.MessageStore`."""
        await self._store.ping()
