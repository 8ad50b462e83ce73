"""The store on Cassandra: many buckets, late writers, a node that goes and comes back."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import acsylla
import pytest

from chat4all.adapters.cassandra import (
    CassandraDeadLetters,
    CassandraEpochs,
    CassandraGeneration,
    CassandraInspection,
    CassandraSession,
    CassandraStore,
    Contact,
    migrate,
    migrating,
)
from chat4all.adapters.cassandra.session import REQUEST_SECONDS, connect
from chat4all.domain.changes import Deleted, Edited, Reacted
from chat4all.domain.errors import StartRefused, Unavailable
from chat4all.domain.ids import LogPosition, Username
from chat4all.domain.kinds import Kind
from chat4all.domain.messages import Head, StoredMessage
from chat4all.domain.position import Position
from chat4all.domain.records import DeadLetter, Epoch
from chat4all.domain.times import parse_milliseconds
from chat4all.ports.store import StoreBatch
from chat4all.ports.summaries import MentionsQuery
from engines import CassandraNode
from tests.cluster.cassandra import AStore, a_store, an_empty_store, contact_of
from tests.messages import batch, changed, changes, message, row_of
from tests.records import CHATS
from tests.stored import stored

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(240),
]


@pytest.fixture
async def on(cassandra: CassandraNode) -> AsyncIterator[AStore]:
    async with an_empty_store(cassandra) as found:
        yield found


@pytest.fixture
async def new(cassandra: CassandraNode) -> AsyncIterator[AStore]:
    """In a keyspace that nobody else uses, made just now."""
    async with a_store(cassandra) as found:
        yield found


def numbered(first: int, last: int) -> list[StoredMessage]:
    return [message(seq) for seq in range(first, last + 1)]


async def test_one_batch_may_fill_many_buckets_and_each_of_its_rows_is_found(on: AStore) -> None:
    await on.store.write(batch(*numbered(1, 5_500)))
    # As it is when a router dies behind the second bucket of three: its head was not written.
    await on.store.write(batch(*numbered(5_501, 7_100), head=0))
    page = await stored(on.store, CHATS[0], limit=5_500)
    assert [m.seq for m in page.messages] == list(range(1, 5_501))
    assert await on.store.heads([CHATS[0]]) == {CHATS[0]: Head(7_100, LogPosition(0, 0, 71_000))}
    for seqs in ([1], [7_100], [999, 1_000, 1_001], [3, 2_500, 7_099], [4_999, 5_000]):
        wanted = [(CHATS[0], message(seq).log_position) for seq in seqs]
        # Positions of no message: before all, between two, behind all.
        others = [(CHATS[0], LogPosition(0, 0, offset)) for offset in (0, 55, 71_001)]
        found = await on.store.at_positions(wanted + others)
        assert found == {message(seq).log_position: row_of(message(seq)) for seq in seqs}


async def test_a_head_ends_at_the_last_bucket_that_is_full(on: AStore) -> None:
    await on.store.write(batch(*numbered(1, 999), head=0))
    assert (await on.store.heads(CHATS))[CHATS[0]].seq == 999
    await on.store.write(batch(*numbered(1_000, 1_000), head=0))
    assert (await on.store.heads(CHATS))[CHATS[0]].seq == 1_000


async def test_heads_without_a_time_are_ordered_by_no_later_than_the_upgrade(new: AStore) -> None:
    """As earlier releases wrote them: what is known is what the sender said."""
    later = replace(message(1, CHATS[1]), created_at="2099-01-01T00:00:00.000Z")
    await new.store.write(batch(message(1)))
    await new.store.write(batch(later))
    found = await new.store.activity(CHATS[:2])
    assert found[CHATS[0]].order_ms == parse_milliseconds(message(1).created_at)
    now_ms = time.time_ns() // 1_000_000
    assert now_ms - 600_000 < found[CHATS[1]].order_ms <= now_ms


async def test_a_late_writer_changes_nothing(on: AStore) -> None:
    newer = replace(message(1), log_position=LogPosition(1, 3, 5), content="newer")
    await on.store.write(batch(newer))
    for position in (LogPosition(1, 3, 4), LogPosition(0, 7, 2**40 - 2)):
        await on.store.write(batch(replace(newer, log_position=position, content="older")))
    page = await stored(on.store, CHATS[0], limit=10)
    assert list(page.messages) == [newer]


@pytest.mark.parametrize(
    "created_at",
    ["0001-01-01T00:00:00.000Z", "2026-01-31T12:00:00.123Z", "9999-12-31T23:59:59.999Z"],
)
async def test_times_come_back_to_the_millisecond(on: AStore, created_at: str) -> None:
    written = replace(message(1), created_at=created_at)
    await on.store.write(batch(written))
    assert list((await stored(on.store, CHATS[0], limit=1)).messages) == [written]


async def test_large_messages_are_stored_too(on: AStore) -> None:
    large = [replace(m, content="🎉" * 10_000) for m in numbered(1, 500)]
    await on.store.write(batch(*large))
    assert list((await stored(on.store, CHATS[0], limit=500)).messages) == large


async def test_migrations_at_once_and_again_come_to_the_same(cassandra: CassandraNode) -> None:
    contact = contact_of(cassandra)
    await asyncio.gather(*(migrate(contact) for _ in range(3)))
    async with a_store(cassandra, contact) as on:
        await on.store.write(batch(message(1)))
        await migrate(contact)
        assert (await stored(on.store, CHATS[0], limit=1)).head == 1


async def test_a_migration_holds_the_lock_until_it_ends(
    new: AStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through two nodes at once two tables of one name may be created."""
    lock = f'"{new.contact.keyspace}".schema_migrations'
    held = f"SELECT version FROM {lock} WHERE version = 0"
    assert await ask(new.contact, held) == []
    await ask(new.contact, f"INSERT INTO {lock} (version, holder) VALUES (0, uuid()) IF NOT EXISTS")
    monkeypatch.setattr(migrating, "LOCK_SECONDS", 1)
    with pytest.raises(Unavailable, match="another migration"):
        await migrate(new.contact)
    assert await ask(new.contact, held) == [(0,)], "it is another one's"


async def test_a_table_of_the_original_layout_is_refused_and_left_alone(
    cassandra: CassandraNode,
) -> None:
    contact = contact_of(cassandra)
    for statement in (
        f"CREATE KEYSPACE {contact.keyspace} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}",
        f"CREATE TABLE {contact.keyspace}.messages (conversation_id uuid, message_id uuid, "
        "content text, PRIMARY KEY (conversation_id, message_id))",
        f"INSERT INTO {contact.keyspace}.messages (conversation_id, message_id, content) "
        "VALUES (uuid(), uuid(), 'kept')",
    ):
        await ask(contact, statement)
    with pytest.raises(StartRefused, match="original layout"):
        await migrate(contact)
    assert await ask(contact, f"SELECT content FROM {contact.keyspace}.messages") == [("kept",)]


async def test_what_exists_is_adopted_only_as_it_would_be_created(
    cassandra: CassandraNode,
) -> None:
    contact = contact_of(cassandra)
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    await ask(contact, f"CREATE KEYSPACE {contact.keyspace} WITH replication = {replication}")
    with pytest.raises(StartRefused, match="SimpleStrategy instead of NetworkTopologyStrategy"):
        await migrate(contact)
    replication = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"
    await ask(contact, f"ALTER KEYSPACE {contact.keyspace} WITH replication = {replication}")
    with pytest.raises(StartRefused, match=r"it has 1 copies in .* instead of 3"):
        await migrate(contact, replicas=3)
    await ask(contact, f"CREATE TABLE {contact.keyspace}.message_ids (id uuid PRIMARY KEY)")
    with pytest.raises(StartRefused, match="message_ids has no column slot"):
        await migrate(contact)
    await ask(contact, f"DROP TABLE {contact.keyspace}.message_ids")
    with pytest.raises(StartRefused, match="there is no table message_ids"):
        await migrate(contact)


async def ask(contact: Contact, statement: str) -> list[object]:
    session = await connect(contact, 30)
    try:
        result = await session.execute(acsylla.create_statement(statement))
        return [row.as_tuple() for row in result.all()]
    finally:
        await session.close()


async def test_a_keyspace_that_is_not_there_yet_is_waited_for(cassandra: CassandraNode) -> None:
    contact = contact_of(cassandra)
    async with a_store(cassandra, contact) as on:
        with pytest.raises(Unavailable):
            await on.store.ping()
        await migrate(contact)
        await on.store.ping()


async def test_a_node_that_goes_is_unavailable_in_time_and_comes_back_by_itself(
    tmp_path: Path,
) -> None:
    node = CassandraNode(tmp_path)
    contact = contact_of(node)
    async with a_store(node, contact) as on:
        with pytest.raises(Unavailable):
            await on.store.ping()
        with node:
            await migrate(contact)
            await on.store.write(batch(message(1)))

            node.pause()
            begun = time.monotonic()
            asked = asyncio.ensure_future(on.store.write(batch(message(2))))
            slowest = 0.0
            while not asked.done():
                before = time.monotonic()
                await asyncio.sleep(0.01)
                slowest = max(slowest, time.monotonic() - before)
            with pytest.raises(Unavailable):
                await asked
            assert time.monotonic() - begun < REQUEST_SECONDS + 1
            assert slowest < 1, "the event loop was blocked"
            node.resume()
            await written_at_last(on, batch(message(2)))

            node.kill()
            with pytest.raises(Unavailable):
                await on.store.write(batch(message(3)))
            await asyncio.to_thread(node.restart)
            async with asyncio.timeout(10):
                await written_at_last(on, batch(message(3)))
            page = await stored(on.store, CHATS[0], limit=10)
            assert list(page.messages) == numbered(1, 3)


async def written_at_last(on: AStore, what: StoreBatch) -> None:
    while True:
        try:
            return await on.store.write(what)
        except Unavailable:
            await asyncio.sleep(0.05)


async def test_single_statements_and_batches_ask_for_a_quorum(cassandra: CassandraNode) -> None:
    """Asked of the node: what a driver leaves out is ONE."""
    contact = contact_of(cassandra)
    await migrate(contact)
    session = await connect(contact, 30)
    try:
        insert = await session.create_prepared(
            f"INSERT INTO {contact.keyspace}.read_markers (conversation_id, username, read_seq) "
            "VALUES (00000000-0000-0000-0000-000000000000, ?, 1)"
        )
        single, batch = insert.bind(), acsylla.create_batch_unlogged()
        single.bind_list(["ana"])
        for name in ("bruno", "carla"):
            one = insert.bind()
            one.bind_list([name])
            batch.add_statement(one)
        single.set_tracing(True)
        batch.set_tracing(True)
        for result in (await session.execute(single), await session.execute_batch(batch)):
            trace = (
                "SELECT parameters FROM system_traces.sessions "
                f"WHERE session_id = {result.tracing_id}"
            )
            # Traces have two copies, of which a lone node is one.
            reading = acsylla.create_statement(trace, consistency=acsylla.Consistency.ONE)
            found: list[Any] = []
            async with asyncio.timeout(30):
                while not found:
                    asked = await session.execute(reading)
                    found = [row.as_tuple()[0] for row in asked.all()]
            assert dict(found[0])["consistency_level"] == "LOCAL_QUORUM"
    finally:
        await session.close()


async def test_an_epoch_is_written_once(on: AStore) -> None:
    epochs = CassandraEpochs(on.session)
    assert await epochs.newest() is None
    first, second = Epoch(0, "a topic", "its id", 4), Epoch(1, "another", "its id", 8)
    assert await epochs.add(first) == first
    assert await epochs.add(second._replace(number=0)) == first
    assert await epochs.add(second) == second
    assert await epochs.add(first) == first
    assert await epochs.newest() == second


async def test_the_state_of_a_keyspace_is_told(new: AStore) -> None:
    inspection = CassandraInspection(new.session)
    node = await inspection.node()
    assert re.match(r"\d+\.\d", node.release)
    assert abs(node.clock_ms / 1_000 - time.time()) < 60
    assert not node.syncs_before_ack  # the tests' node; see `CassandraNode`
    assert await inspection.replicas(new.contact.keyspace) == 1
    assert await inspection.missing_steps() == []
    await new.session.run("DELETE FROM schema_migrations WHERE version = ?", (4,))
    assert await inspection.missing_steps() == ["0004_headers.cql"]

    places = [
        LogPosition(0, 0, 0),
        LogPosition(0, 0, 1),
        LogPosition(0, 1, 0),
        LogPosition(1, 0, 0),
    ]
    assert await inspection.letters_waiting(9) == 0
    await new.letters.add([DeadLetter(place, "no JSON", b"", b"") for place in places])
    assert await inspection.letters_waiting(9) == 4
    assert await inspection.letters_waiting(1) == 3  # of each partition one
    await new.letters.replayed(places[1], LogPosition(0, 0, 9))
    assert await inspection.letters_waiting(9) == 3


async def test_a_keyspace_of_an_earlier_release_is_reported_before_it_is_needed(
    new: AStore,
) -> None:
    """Fails when a router is ready that could not put a record aside."""
    await new.letters.ping()
    async with a_store_of_an_earlier_release(new.contact) as earlier:
        await earlier.store.ping()
        with pytest.raises(Unavailable, match="run `chat4all migrate`"):
            await earlier.letters.ping()


async def test_messages_of_the_release_before_take_changes_and_replies(
    cassandra: CassandraNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = contact_of(cassandra)
    with monkeypatch.context() as before:
        earlier = {number: step for number, step in migrating.steps().items() if number < 6}
        before.setattr(migrating, "steps", lambda: earlier)
        before.setattr(migrating, "_begin_generation", AsyncMock())
        await migrate(contact)
    async with a_store(cassandra, contact) as on:
        await on.store.write(batch(message(1), message(2)))
        with pytest.raises(Unavailable, match="run `chat4all migrate`"):
            await on.store.ping()
    await migrate(contact)
    async with a_store(cassandra, contact) as on:
        await on.store.ping()
        assert await on.store.position(CHATS[0]) == Position(2, 0)
        page = await stored(on.store, CHATS[0], limit=10)
        assert list(page.messages) == [message(1), message(2)]
        reacted = changed(3, Reacted("👍", given=True))
        await on.store.write(changes(changed(1, Edited("new")), changed(2, Deleted(), seq=2)))
        await on.store.write(changes(reacted))
        first, second = await on.store.with_numbers(CHATS[0], [1, 2])
        assert (first.content, second.content) == ("new", "")
        assert [one.count for one in first.reactions] == [1]
        assert await on.store.position(CHATS[0]) == Position(2, 3)
        reply = replace(message(3), reply_seq=1, mentions=(Username("ana"),), kind=Kind.CUSTOM)
        await on.store.write(batch(reply))
        (found,) = await on.store.with_numbers(CHATS[0], [3])
        assert found == replace(reply, reply_to=first.as_reply())
        asked = MentionsQuery(Username("ana"), 0, 3)
        assert await on.store.mentions({CHATS[0]: asked}) == {CHATS[0]: [3]}


async def test_a_keyspace_that_was_emptied_or_made_anew_is_another_generation(
    cassandra: CassandraNode,
) -> None:
    contact = contact_of(cassandra)
    found = []
    for statement in (
        None,
        None,  # a second migration changes nothing
        f'TRUNCATE "{contact.keyspace}".store_generation',
        f'DROP KEYSPACE "{contact.keyspace}"',
    ):
        if statement is not None:
            session = await connect(contact, 60)
            await session.execute(acsylla.create_statement(statement))
            await session.close()
        await migrate(contact)
        reading = CassandraSession(contact)
        found.append(await CassandraGeneration(reading).current())
        await reading.close()
    assert found[0] == found[1]
    assert len(set(found)) == 3


@asynccontextmanager
async def a_store_of_an_earlier_release(contact: Contact) -> AsyncIterator[AStore]:
    session = await connect(contact, 60)
    drop = f'ALTER TABLE "{contact.keyspace}".dead_letters DROP headers'
    await session.execute(acsylla.create_statement(drop))
    await session.close()
    found = CassandraSession(contact)
    yield AStore(contact, found, CassandraStore(found), CassandraDeadLetters(found))
    await found.close()
