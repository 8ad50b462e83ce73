"""What is found of what a router wrote in many buckets or in half, on tables in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import log2

import pytest

from chat4all.adapters.cassandra import CassandraDeadLetters, CassandraSession, CassandraStore
from chat4all.adapters.cassandra.changes import put_change, put_change_head, put_edit, put_effect
from chat4all.adapters.cassandra.messages import put_message
from chat4all.adapters.cassandra.session import Row
from chat4all.adapters.cassandra.statements import put_head
from chat4all.domain.changes import EMOJIS, ChangeHead, Deleted, Edited, Reacted, Version
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, LogPosition, Username
from chat4all.domain.messages import Activity, Head
from chat4all.domain.position import Position
from chat4all.domain.times import parse_milliseconds
from chat4all.ports.store import ChangeRow, NumberedRow, StoreBatch, Target, TargetKey
from tests.faults.two_routers import BUCKET, small_buckets
from tests.messages import at_change, batch, changed, changes, message, row_of, time_of
from tests.records import CHATS
from tests.tables import StoreOnTables, Tables

pytestmark = pytest.mark.anyio

LAST = 10 * BUCKET + 1
MESSAGES = [message(seq) for seq in range(1, LAST + 1)]


class Counted(Tables):
    """Counts the reads of whole buckets, and of their ends."""

    whole = ends = 0

    async def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        if "FROM messages" in statement:
            self.ends += "LIMIT 1" in statement
            self.whole += "LIMIT 1" not in statement
        return await super().run(statement, values)


@pytest.fixture(autouse=True)
def buckets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        small_buckets(patch)
        yield


@pytest.mark.parametrize("written", [0, 1, BUCKET, LAST])
@pytest.mark.parametrize("last", [1, BUCKET - 1, BUCKET, 3 * BUCKET - 1, LAST])
async def test_the_last_row_is_found_from_any_head_on(written: int, last: int) -> None:
    store = StoreOnTables(Tables())
    await store.write(StoreBatch((), messages=MESSAGES[:last]))
    if 0 < written <= last:
        await store.write(StoreBatch((), heads=batch(MESSAGES[written - 1]).heads))
    found = (await store.heads(CHATS[:2]))[CHATS[0]]
    assert (found.seq, found.log_position) == (last, MESSAGES[last - 1].log_position)


async def test_what_comes_after_a_bucket_that_is_not_full_does_not_count() -> None:
    store = StoreOnTables(Tables())
    await store.write(StoreBatch((), messages=[*MESSAGES[: BUCKET + 1], *MESSAGES[2 * BUCKET :]]))
    assert (await store.heads([CHATS[0]]))[CHATS[0]].seq == BUCKET + 1


@pytest.mark.parametrize("seq", [1, BUCKET - 1, BUCKET, BUCKET + 1, 5 * BUCKET, LAST - 1, LAST])
async def test_the_row_of_a_position_is_found_by_bisection(seq: int) -> None:
    tables = Counted()
    store = StoreOnTables(tables)
    await store.write(batch(*MESSAGES))
    place = MESSAGES[seq - 1].log_position
    tables.whole = tables.ends = 0
    found = await store.at_positions([(CHATS[0], place)])
    assert found == {place: row_of(MESSAGES[seq - 1])}
    assert tables.whole == 1
    assert tables.ends <= 1 + log2(LAST)


async def test_rows_of_all_buckets_are_found_and_no_others() -> None:
    store = StoreOnTables(Tables())
    await store.write(StoreBatch((), messages=MESSAGES))
    wanted = [(CHATS[0], one.log_position) for one in MESSAGES]
    others = [(CHATS[0], LogPosition(0, 0, 10 * seq + 5)) for seq in range(LAST + 2)]
    elsewhere = [(CHATS[1], wanted[0][1])]
    assert await store.at_positions(others + elsewhere) == {}
    found = await store.at_positions(wanted + others + elsewhere)
    assert found == {one.log_position: row_of(one) for one in MESSAGES}


async def test_a_row_of_which_only_a_part_is_there_is_read_as_far_as_it_is() -> None:
    """A node that missed a write has what a read repair has brought it of the row."""
    tables = Tables()
    store = StoreOnTables(tables)
    part = frozenset({"log_position"})
    tables.apply([put_message(MESSAGES[0])], part)
    tables.apply([put_change(changed(1, Deleted()))], part)
    places = [(CHATS[0], MESSAGES[0].log_position), (CHATS[0], at_change(1))]
    assert await store.at_positions(places) == {places[0][1]: NumberedRow(1, None, None)}
    assert await store.changes_at(places) == {places[1][1]: ChangeRow(1, None, None)}
    key = TargetKey(CHATS[0], 1)
    assert await store.targets([key]) == {key: Target(places[0][1], None, is_deleted=False)}
    await store.write(batch(MESSAGES[1]))
    edit = put_edit(changed(2, Edited("half"), seq=2))
    assert edit is not None
    tables.apply([edit], frozenset({"content"}))
    assert await store.versions(CHATS[0], 2) == [Version(MESSAGES[1].content, None)]


async def test_a_head_of_which_only_a_part_is_there_has_a_place_in_lists() -> None:
    tables = Tables()

    async def found() -> Mapping[ConversationId, Activity]:
        return await StoreOnTables(tables).activity(CHATS[:1])

    await tables.batch([put_change_head(CHATS[0], ChangeHead(1, at_change(1)))])
    assert await found() == {}
    assert await StoreOnTables(tables).position(CHATS[0]) == Position(0, 1)
    await tables.batch([put_head(CHATS[0], Head(1, MESSAGES[0].log_position))])
    assert await found() == {CHATS[0]: Activity(1, 0, change=1)}
    step = "INSERT INTO schema_migrations (version, applied_at) VALUES (?, ?)"
    await tables.run(step, (5, datetime(2030, 1, 1, tzinfo=UTC)))
    assert await found() == {CHATS[0]: Activity(1, 0, change=1)}
    await tables.batch([put_message(MESSAGES[0])])
    sent_ms = parse_milliseconds(MESSAGES[0].created_at)
    assert await found() == {CHATS[0]: Activity(1, sent_ms, change=1)}
    # Nor is anything believed of what was sent where nobody knows when this release came.
    tables = Tables()
    await tables.batch([put_head(CHATS[0], Head(1, MESSAGES[0].log_position))])
    await tables.batch([put_message(MESSAGES[0])])
    assert await found() == {CHATS[0]: Activity(1, 0)}
    assert await StoreOnTables(tables).position(CHATS[0]) == Position(1, 0)


class Down(CassandraSession):
    """Nobody answers."""

    def __init__(self) -> None:
        """Connect to nothing."""

    async def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        raise Unavailable("nobody answers")


@pytest.mark.parametrize("of", [CassandraStore, CassandraDeadLetters])
async def test_a_ping_asks_cassandra(of: type[CassandraStore | CassandraDeadLetters]) -> None:
    with pytest.raises(Unavailable):
        await of(Down()).ping()


async def test_of_a_deletion_that_is_half_written_no_text_is_shown() -> None:
    """Its first statement is there, and what it has to empty is there too."""
    tables = Tables()
    store = StoreOnTables(tables)
    ana = Username("ana")
    one = replace(MESSAGES[0], payload={"name": "secret"}, mentions=(ana,))
    await store.write(batch(one))
    edited = changed(1, Edited("secret"))
    reacted = changed(2, Reacted(EMOJIS[0], given=True))
    await store.write(changes(edited, reacted))
    first, *_ = put_effect(changed(3, Deleted()))
    await tables.batch([first])
    wanted = replace(one, content="", payload=None, mentions=(), deleted_at=time_of(3))
    assert await store.with_numbers(CHATS[0], [1]) == [wanted]
    assert await store.versions(CHATS[0], 1) == []
    assert await store.reactions(CHATS[0], 1) == ()


@pytest.mark.parametrize("texts", [("secret", None), (None, "secret")])
async def test_an_edit_after_the_deletion_leaves_no_text(texts: tuple[str | None, ...]) -> None:
    """Also where a router that does not know of the deletion writes it, before or after."""
    tables = Tables()
    store = StoreOnTables(tables)
    await store.write(batch(MESSAGES[0]))
    await store.write(changes(changed(1, Deleted())))
    for text in texts:
        await store.write(changes(changed(2, Edited(text))))
    assert await tables.run("SELECT content FROM edits") == [("",)]
