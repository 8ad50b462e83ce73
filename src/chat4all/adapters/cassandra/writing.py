"""Numbered messages, ids, markers and heads: what the router reads and writes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from chat4all.adapters.cassandra.batches import in_batches, in_packs
from chat4all.adapters.cassandra.keys import position_of, slot_of
from chat4all.adapters.cassandra.messages import put_message
from chat4all.adapters.cassandra.part import FIND_IDS
from chat4all.adapters.cassandra.recovery import Recovery
from chat4all.adapters.cassandra.session import Statement, together
from chat4all.adapters.cassandra.statements import put_head, put_id, put_marker
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.messages import StoredMessage
from chat4all.ports.store import IdEntry, IdKey, StoreBatch

IDS_PER_REQUEST = 50
"""Ids of one conversation that are looked up in one request, in every slot."""


class SequencedTables(Recovery):
    """`ports.store.SequencedStore`: each partition is written whole or not at all."""

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        """Return where ids were first used; see `ports.store.SequencedStore`."""
        wanted = set(keys)
        by_conversation = defaultdict[ConversationId, list[UUID]](list)
        for conversation, message_id in {(key.conversation_id, key.message_id) for key in wanted}:
            by_conversation[conversation].append(UUID(message_id))
        queries = [
            (conversation, ids[first : first + IDS_PER_REQUEST])
            for conversation, ids in by_conversation.items()
            for first in range(0, len(ids), IDS_PER_REQUEST)
        ]
        answers = await together(
            self._session.run(FIND_IDS, (UUID(conversation), list(set(map(slot_of, ids))), ids))
            for conversation, ids in queries
        )
        entries = {}
        for (conversation, _), rows in zip(queries, answers, strict=True):
            for message_id, sender, seq, position in rows:
                key = IdKey(conversation, MessageId(str(message_id)), Username(sender))
                if key in wanted:
                    entries[key] = IdEntry(seq, position_of(position))
        return entries

    async def write(self, batch: StoreBatch) -> None:
        """Write stage by stage, each acknowledged before the next; see `ports.store`."""
        await self._write_messages(batch.messages)

        ids = defaultdict[tuple[ConversationId, int], list[Statement]](list)
        for key, entry in batch.ids.items():
            slot = slot_of(UUID(key.message_id))
            ids[key.conversation_id, slot].append(put_id(key, entry))
        await self._write_packed(ids.values())

        markers = defaultdict[ConversationId, list[Statement]](list)
        for marker in batch.markers:
            markers[marker.conversation_id] += put_marker(marker)
        await self._write_packed(markers.values())

        await self._write_packed([put_head(*item)] for item in batch.heads.items())

    async def _write_messages(self, messages: Sequence[StoredMessage]) -> None:
        by_conversation = defaultdict[ConversationId, list[StoredMessage]](list)
        for message in messages:
            by_conversation[message.conversation_id].append(message)
        batches = [
            [[put_message(message) for message in part] for part in in_batches(of_one)]
            for of_one in by_conversation.values()
        ]
        long = [each for each in batches if len(each) > 1]
        short = in_packs(each[0] for each in batches if len(each) == 1)
        await together([*map(self._write_in_order, long), *map(self._session.batch, short)])

    async def _write_in_order(self, batches: Sequence[Sequence[Statement]]) -> None:
        """Write one conversation's messages in the order of their numbers (rule 3)."""
        for batch in batches:
            await self._session.batch(batch)

    async def _write_packed(self, groups: Iterable[Sequence[Statement]]) -> None:
        await together(map(self._session.batch, in_packs(groups)))
