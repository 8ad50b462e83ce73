"""Numbered messages, ids, markers and heads: what the router reads and writes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from chat4all.adapters.cassandra.batches import in_batches, in_packs, in_parts
from chat4all.adapters.cassandra.changes import put_change_head
from chat4all.adapters.cassandra.changing import SequencedChangesTables
from chat4all.adapters.cassandra.keys import bucket_of, position_of, slot_of
from chat4all.adapters.cassandra.messages import put_mentions, put_message
from chat4all.adapters.cassandra.part import FIND_IDS
from chat4all.adapters.cassandra.session import Statement, together
from chat4all.adapters.cassandra.statements import put_head, put_id, put_marker
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.messages import StoredMessage
from chat4all.ports.store import IdEntry, IdKey, StoreBatch


class SequencedTables(SequencedChangesTables):
    """`ports.store.SequencedStore`: each partition is written whole or not at all."""

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        """Return where ids were first used; see `ports.store.SequencedStore`."""
        wanted = set(keys)
        entries = {}
        for conversation, (message_id, sender, seq, position) in await self._find(
            FIND_IDS, {(key.conversation_id, key.message_id) for key in wanted}
        ):
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

        if batch.changes or batch.change_ids:
            await self._write_changes(batch)

        markers = defaultdict[ConversationId, list[Statement]](list)
        for marker in batch.markers:
            markers[marker.conversation_id] += put_marker(marker)
        # One record has those of a hundred members, and markers depend on no other: parts will do.
        await self._write_packed(part for group in markers.values() for part in in_parts(group))

        heads = defaultdict[ConversationId, list[Statement]](list)
        for conversation, head in batch.heads.items():
            heads[conversation].append(put_head(conversation, head))
        for conversation, of_changes in batch.change_heads.items():
            heads[conversation].append(put_change_head(conversation, of_changes))
        await self._write_packed(heads.values())

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
        mentioning = defaultdict[tuple[ConversationId, int], list[Statement]](list)
        for message in messages:
            if message.mentions:
                key = message.conversation_id, bucket_of(message.seq)
                mentioning[key].append(put_mentions(message))
        await together(
            [
                *map(self._write_in_order, long),
                *map(self._session.batch, short),
            ]
        )
        await self._write_parts(mentioning.values())
