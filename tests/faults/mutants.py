"""Mutants of the router, each breaking one rule; each must be caught every time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chat4all.domain.changes import ChangeHead, Edited
from chat4all.domain.events import MessageStored
from chat4all.domain.ids import BEFORE_ALL, ConversationId
from chat4all.domain.messages import Head, StoredMessage
from chat4all.ports.log import Poll
from chat4all.ports.store import IdEntry, IdKey, StoreBatch
from chat4all.usecases import numbering_rules, routing
from tests.faults.machine import AnyStore, StagedStore, Steps
from tests.stored import stored


class CommitBeforeWrite(StagedStore):
    """Commits the offset before it has stored anything (against rule 7)."""

    def __init__(self, store: AnyStore, steps: Steps, commit: Callable[[int], None]) -> None:
        super().__init__(store, steps)
        self._commit = commit

    async def write(self, batch: StoreBatch) -> None:
        self._commit(batch.through[-1].offset)
        self._steps.done("committed early")
        await super().write(batch)


class NumberFromMemory(StagedStore):
    """Counts from what this process has seen; a new process starts again (against rule 2)."""

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        return {}


class DedupeFromMemory(StagedStore):
    """Knows only the ids that this process has seen (against rule 6)."""

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        return {}


class SecondBucketFirst(StagedStore):
    """Writes a conversation's batches in any order (against rule 3)."""

    def in_order(
        self, buckets: Sequence[Sequence[StoredMessage]]
    ) -> Sequence[Sequence[StoredMessage]]:
        return buckets[::-1]


class HeadFromHeadTable(StagedStore):
    """Trusts the written head instead of walking on to the last row (against rule 3)."""

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        recovered = await super().heads(conversations)
        visible = {c: (await stored(self, c, limit=1)).messages for c in conversations}
        return {
            c: Head(visible[c][-1].seq, visible[c][-1].log_position)
            for c in recovered
            if visible[c]
        }


class KeepsHeads(routing.Numbering):
    """Keeps what it knows across assignments (against rule 2)."""

    def _drop_stale_partitions(self, assignments: Mapping[int, int]) -> None:
        for number, assignment in assignments.items():
            if number not in self._partitions:
                super()._drop_stale_partitions({number: assignment})


_number = numbering_rules.number_messages


def number_and_swap_contents(*arguments: Any) -> numbering_rules.Numbered:
    """Give each message of two the other one's content: ids, senders and numbers are all right."""
    numbered = _number(*arguments)
    found = numbered.messages
    for n in range(1, len(found), 2):
        one, two = found[n - 1 : n + 1]
        if one.conversation_id == two.conversation_id:
            found[n - 1 : n + 1] = (
                replace(one, content=two.content),
                replace(two, content=one.content),
            )
    return numbered


def contents_swapped() -> None:
    """Let the router of this process swap contents."""
    numbering_rules.number_messages = number_and_swap_contents  # type: ignore[assignment]


class KeepsWhatItFinds(StagedStore):
    """Keeps with each edit the text that it finds, instead of the edit's own (against rule 23)."""

    kept: dict[tuple[ConversationId, int], dict[int, str]]

    async def write(self, batch: StoreBatch) -> None:
        for change in batch.changes:
            if isinstance(change.effect, Edited):
                place = (change.conversation_id, change.seq)
                # What the batch itself brings is written by now.
                await self._store.write(StoreBatch(through=(), messages=batch.messages))
                await self._store.write(StoreBatch(through=(), heads=batch.heads))
                (found,) = await self._store.with_numbers(place[0], [change.seq])
                self.kept.setdefault(place, {})[change.change] = found.content
            await self._store.write(StoreBatch(through=(), changes=[change]))
            self._steps.done("changes")
        await super().write(batch)


class SharedGuard(StagedStore):
    """Writes the head of the changes only together with a newer one of messages (rule 25)."""

    async def write(self, batch: StoreBatch) -> None:
        moved = {
            conversation: head
            for conversation, head in batch.change_heads.items()
            if conversation in batch.heads
            and batch.heads[conversation].seq > (await self._store.position(conversation)).seq
        }
        await super().write(replace(batch, change_heads=moved))


class NumbersFromTheFirstHead(routing.Numbering):
    """Remembers the head of the changes only where messages were written too (against rule 25)."""

    async def plan(self, poll: Poll) -> routing.Plan:
        plan = await super().plan(poll)
        for partition in self._partitions.values():
            for conversation, head in plan.batch.change_heads.items():
                before = ChangeHead(head.change - len(plan.batch.changes), BEFORE_ALL)
                partition.change_heads.setdefault(conversation, before)
        return plan

    def written(self, plan: routing.Plan) -> None:
        if plan.batch.messages:
            super().written(plan)


class AnnouncesChangesFirst(routing.Numbering):
    """Announces changes before the messages that they change (against rule 20b)."""

    async def plan(self, poll: Poll) -> routing.Plan:
        plan = await super().plan(poll)
        events = sorted(plan.events, key=lambda event: isinstance(event, MessageStored))
        return replace(plan, events=events)
