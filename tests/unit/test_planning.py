"""What a poll's plan asks of the store, and which records it takes."""

from collections.abc import Mapping, Sequence

import pytest

from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.messages import Head
from chat4all.domain.records import LogRecord
from chat4all.ports.log import Poll
from chat4all.ports.store import IdEntry, IdKey, NumberedRow
from chat4all.usecases.routing import Numbering
from tests.records import CHATS, record
from tests.tables import StoreOnTables, Tables

pytestmark = pytest.mark.anyio


class Asked(StoreOnTables):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(Tables())
        self.of_heads: list[ConversationId] = []
        self.of_ids: list[IdKey] = []
        self.of_positions: list[LogPosition] = []

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        self.of_heads += conversations
        return await super().heads(conversations)

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        self.of_ids += keys
        return await super().find_ids(keys)

    async def at_positions(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, NumberedRow]:
        self.of_positions += [position for _, position in positions]
        return await super().at_positions(positions)


def taken(value: bytes, offset: int, partition: int = 0) -> LogRecord:
    return LogRecord(LogPosition(0, partition, offset), b"", value, 0, log_append_time=True)


async def route(
    numbering: Numbering, store: Asked, *records: LogRecord, assignment: int = 1
) -> int:
    """Plan and write; return how many messages were numbered."""
    plan = await numbering.plan(
        Poll(records, {r.log_position.partition: assignment for r in records})
    )
    await store.write(plan.batch)
    numbering.written(plan)
    return len(plan.batch.messages)


async def test_a_head_is_read_once_an_assignment_and_rows_only_for_replays() -> None:
    store = Asked()
    numbering = Numbering(store)
    assert await route(numbering, store, taken(record(), 1), taken(record(), 2)) == 2
    assert await route(numbering, store, taken(record(), 3)) == 1
    assert (store.of_heads, store.of_positions) == ([CHATS[0]], [])
    again = record()
    assert await route(numbering, store, taken(again, 4), assignment=2) == 1
    assert store.of_heads == [CHATS[0]] * 2
    assert await route(numbering, store, taken(again, 4), taken(record(), 5), assignment=2) == 2
    assert store.of_positions == [LogPosition(0, 0, 4)]


async def test_what_is_cached_is_dropped_with_any_other_assignment_number() -> None:
    store = Asked()
    numbering = Numbering(store)
    for offset, assignment in enumerate([2, 3, 1, 1], start=1):
        await route(numbering, store, taken(record(), offset), assignment=assignment)
    assert len(store.of_heads) == 3
    # A partition that was not in a poll was somebody else's meanwhile.
    await route(numbering, store, taken(b"poison", 1, partition=1))
    await route(numbering, store, taken(record(), 5))
    assert len(store.of_heads) == 4


async def test_a_head_that_is_not_known_costs_nothing_where_all_is_cached() -> None:
    store = Asked()
    numbering = Numbering(store)
    await route(numbering, store, taken(record(), 1))
    store.of_heads.clear()
    await route(numbering, store, taken(record(chat=CHATS[1]), 2), taken(record(), 3))
    assert store.of_heads == [CHATS[1]]


@pytest.mark.parametrize("found_in", [0, 1, 2, 3])
async def test_a_record_is_taken_in_its_own_partition_only(found_in: int) -> None:
    """Not in one above, and not in one below."""
    store = Asked()
    value = record("x", chat=CHATS[1].upper())
    plan = await Numbering(store, CHATS.index).plan(
        Poll([taken(value, 1, found_in)], {found_in: 1})
    )
    assert len(plan.batch.messages) == (found_in == 1)
    assert [move.conversation for move in plan.moves] == ([] if found_in == 1 else [CHATS[1]])
    assert plan.batch.through == (LogPosition(0, found_in, 1),)


async def test_the_last_position_of_each_partition_is_committed() -> None:
    store = Asked()
    records = [taken(b"poison", 7, 2), taken(record(), 3, 1), taken(b"poison", 9, 2)]
    plan = await Numbering(store).plan(Poll(records, {1: 1, 2: 1}))
    assert set(plan.batch.through) == {LogPosition(0, 1, 3), LogPosition(0, 2, 9)}
    assert [letter.log_position.offset for letter in plan.letters] == [7, 9]
