"""Numbered changes: what the router reads and writes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

from chat4all.adapters.cassandra.batches import in_packs, in_parts
from chat4all.adapters.cassandra.changes import (
    blank_edit,
    blank_mentions,
    put_change,
    put_change_id,
    put_edit,
    put_effect,
)
from chat4all.adapters.cassandra.keys import bucket_of, position_of, slot_of
from chat4all.adapters.cassandra.recovery import Recovery
from chat4all.adapters.cassandra.session import Row, Statement, together
from chat4all.concurrency.slices import slices
from chat4all.domain.changes import Deleted, NumberedChange
from chat4all.domain.ids import ChangeId, ConversationId, Username
from chat4all.ports.store import ChangeEntry, ChangeKey, StoreBatch

_FIND_IDS = (
    "SELECT change_id, author, change, log_position FROM change_ids "
    "WHERE conversation_id = ? AND slot IN ? AND change_id IN ?"
)
_EDITS = "SELECT change FROM edits WHERE conversation_id = ? AND bucket = ? AND seq = ?"

IDS_PER_REQUEST = 50
"""Ids of one conversation that are looked up in one request, in every slot."""

_Place: TypeAlias = tuple[ConversationId, int]
"""A conversation, and a bucket or slot of it."""


class SequencedChangesTables(Recovery):
    """`ports.store.SequencedChanges`."""

    async def find_change_ids(self, keys: Sequence[ChangeKey]) -> Mapping[ChangeKey, ChangeEntry]:
        """Return where ids were first used; see `ports.store.SequencedChanges`."""
        wanted = set(keys)
        entries = {}
        for conversation, (uuid, author, change, position) in await self._find(
            _FIND_IDS, {(key.conversation_id, key.change_id) for key in wanted}
        ):
            key = ChangeKey(conversation, ChangeId(str(uuid)), Username(author))
            if key in wanted:
                entries[key] = ChangeEntry(change, position_of(position))
        return entries

    async def _find(
        self, statement: str, ids: Iterable[tuple[ConversationId, str]]
    ) -> list[tuple[ConversationId, Row]]:
        """Return the rows of ids, each with its conversation."""
        by_conversation = defaultdict[ConversationId, list[UUID]](list)
        for conversation, uuid in ids:
            by_conversation[conversation].append(UUID(uuid))
        queries = [
            (conversation, some)
            for conversation, of_one in by_conversation.items()
            for some in slices(of_one, IDS_PER_REQUEST)
        ]
        answers = await together(
            self._session.run(statement, (UUID(conversation), list(set(map(slot_of, some))), some))
            for conversation, some in queries
        )
        return [
            (conversation, row)
            for (conversation, _), rows in zip(queries, answers, strict=True)
            for row in rows
        ]

    async def _write_changes(self, batch: StoreBatch) -> None:
        """Write changes, what they do, and their ids: each stage acknowledged before the next."""
        by_conversation = defaultdict[ConversationId, dict[int, list[Statement]]](dict)
        edits = defaultdict[_Place, list[Statement]](list)
        effects = defaultdict[_Place, list[Statement]](list)
        for change in batch.changes:
            buckets = by_conversation[change.conversation_id]
            buckets.setdefault(bucket_of(change.change), []).append(put_change(change))
            place = (change.conversation_id, bucket_of(change.seq))
            if (edit := put_edit(change)) is not None:
                edits[place].append(edit)
            effects[place] += put_effect(change)
        await together(self._write_in_order(list(b.values())) for b in by_conversation.values())
        await self._write_parts(edits.values())
        await self._write_parts(effects.values())
        # What a deletion has to empty is earlier in the log, so it is written by now.
        await together(
            self._blank_tables(change)
            for change in batch.changes
            if isinstance(change.effect, Deleted)
        )
        ids = defaultdict[_Place, list[Statement]](list)
        for key, entry in batch.change_ids.items():
            slot = slot_of(UUID(key.change_id))
            ids[key.conversation_id, slot].append(put_change_id(key, entry))
        await self._write_packed(ids.values())

    async def _blank_tables(self, deletion: NumberedChange) -> None:
        """Empty every text that a deleted message had, and whom it mentioned."""
        place = (UUID(deletion.conversation_id), bucket_of(deletion.seq), deletion.seq)
        edits = await self._session.run(_EDITS, place)
        await self._write_parts(
            [[blank_mentions(deletion)], [blank_edit(deletion, of) for (of,) in edits]]
        )

    async def _write_in_order(self, batches: Sequence[Sequence[Statement]]) -> None:
        """Write what a conversation numbers in the order of the numbers (rule 3)."""
        for batch in batches:
            await self._session.batch(batch)

    async def _write_parts(self, groups: Iterable[Sequence[Statement]]) -> None:
        """Write groups, one a partition, in any order; large ones in several requests."""
        parts = [part for group in groups for part in in_parts(group)]
        await together(map(self._session.batch, parts))

    async def _write_packed(self, groups: Iterable[Sequence[Statement]]) -> None:
        await together(map(self._session.batch, in_packs(groups)))
