"""The Cassandra adapters' logic, without a node."""

import asyncio
import re
import uuid
from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from itertools import pairwise
from types import SimpleNamespace

import acsylla
import pytest
from acsylla.errors import CassErrorLibNoHostsAvailable, CassErrorLibRequestTimedOut

from chat4all.adapters.cassandra import (
    CassandraDeadLetters,
    CassandraSession,
    CassandraStore,
    Contact,
)
from chat4all.adapters.cassandra import session as driver
from chat4all.adapters.cassandra.batches import (
    BATCH_BYTES,
    PACK_BYTES,
    PACK_PARTITIONS,
    ROW_BYTES,
    in_batches,
    in_packs,
    in_parts,
)
from chat4all.adapters.cassandra.keys import first_wins_timestamp, log_timestamp
from chat4all.adapters.cassandra.messages import MESSAGE, message_of, put_message
from chat4all.adapters.cassandra.session import IN_FLIGHT_MAX, Row, Statement
from chat4all.domain.errors import Overloaded, Unavailable
from chat4all.domain.ids import ConversationId, LogPosition, Username
from chat4all.domain.kinds import PAYLOAD_MAX, Kind
from chat4all.domain.messages import Head, Marker, StoredMessage
from chat4all.domain.records import DeadLetter
from chat4all.ports.store import IdEntry, IdKey, StoreBatch
from chat4all.wire.payloads import as_column
from tests.messages import message
from tests.records import CHATS

LAST = LogPosition(511, 0, 2**40 - 2)


def test_write_times_follow_the_log_and_stay_below_every_clock() -> None:
    in_order = [LogPosition(0, 9, 0), LogPosition(0, 9, 1), LogPosition(1, 3, 0), LAST]
    times = [log_timestamp(position) for position in in_order]
    assert times == sorted(set(times))
    assert times[0] > 0
    firsts = [first_wins_timestamp(position) for position in in_order]
    assert firsts == sorted(set(firsts), reverse=True)
    assert min(firsts) > 0
    assert max(times + firsts) < 2**50
    # Rows of earlier releases have these.
    assert (times[0], firsts[0]) == (1, 2**49 - 1)


def test_a_row_holds_the_whole_message() -> None:
    """Fails when a field has no column, or is read back from another one."""
    written = message(1_001)
    statement, values = put_message(written)
    columns = re.findall(r"\w+", statement.partition("VALUES")[0])[3:]
    row = dict(zip(columns, values, strict=False))
    assert (row.pop("bucket"), row.pop("status")) == (1, "DELIVERED")
    assert list(row) == [field.name for field in fields(StoredMessage) if field.default is MISSING]
    assert values[-1] == log_timestamp(written.log_position)

    row["created_at"] = round(row["created_at"].timestamp() * 1000)  # as it is selected
    selected = re.sub(r"\w+\((\w+)\)", r"\1", MESSAGE).split(", ")
    # Changes write the others.
    found = message_of(written.conversation_id, tuple(row.get(name) for name in selected))
    assert found == written


def test_batches_keep_the_order_within_a_bucket_and_a_mebibyte() -> None:
    small = [message(seq) for seq in range(1, 2_101)]
    parts = list(in_batches(small))
    assert [m for part in parts for m in part] == small
    assert [len(part) for part in parts] == [999, 1_000, 101]
    large = [replace(m, content="🎉" * 10_000) for m in small[:60]]
    parts = list(in_batches(large))
    assert [m for part in parts for m in part] == large
    assert max(sum(len(m.content.encode()) for m in part) for part in parts) <= BATCH_BYTES
    # What each row takes besides its text counts, as do payloads in the form that is stored.
    many = [replace(m, content="x" * 900) for m in small[:999]]
    numbers = {"n": [1e15] * (PAYLOAD_MAX // len("1e15,"))}
    weighty = [replace(m, kind=Kind.CUSTOM, payload=numbers) for m in small[:40]]
    for messages in (many, weighty):
        parts = list(in_batches(messages))
        assert [m for part in parts for m in part] == messages
        assert max(map(bytes_of, parts)) <= BATCH_BYTES
    one = replace(small[0], content="x" * 2 * BATCH_BYTES)
    assert list(in_batches([one, one])) == [[one], [one]]
    huge: Statement = ("one", (0, "x" * 2 * BATCH_BYTES))
    assert list(in_parts([huge, huge])) == [[huge], [huge]]


def bytes_of(messages: Sequence[StoredMessage]) -> int:
    texts = [one.content for one in messages]
    texts += [as_column(one.payload) for one in messages if one.payload is not None]
    return ROW_BYTES * len(messages) + sum(len(text.encode()) for text in texts)


def test_small_groups_travel_together_within_what_cassandra_takes_without_a_warning() -> None:
    groups: list[list[Statement]] = [
        [("one", (n,)), ("two", (n, "é" * (n % 300)))] for n in range(99)
    ]
    packs = list(in_packs(groups))
    assert [statement for pack in packs for statement in pack] == [
        s for group in groups for s in group
    ]
    assert len(packs) < len(groups) / 2
    for pack in packs:
        numbers = {values[0] for _, values in pack}
        assert len(pack) == 2 * len(numbers)  # no group was parted
        assert len(numbers) <= PACK_PARTITIONS
        texts = (str(value) for _, values in pack for value in values[1:])
        assert sum(len(text.encode()) for text in texts) <= PACK_BYTES
    large: list[Statement] = [("one", (0, "x" * 2 * PACK_BYTES))]
    assert list(in_packs([large, large])) == [large, large]
    tiny: list[list[Statement]] = [[("one", (n,))] for n in range(2 * PACK_PARTITIONS + 1)]
    assert [len(pack) for pack in in_packs(tiny)] == [PACK_PARTITIONS, PACK_PARTITIONS, 1]
    # A text counts as it is written: of one byte a character, or of four.
    for text, fit in (("x" * 200, 10), ("🎉" * 200, 4)):
        same: list[list[Statement]] = [[("one", (n, text))] for n in range(20)]
        assert [len(pack) for pack in in_packs(same)] == [fit] * (20 // fit)


@pytest.mark.anyio
async def test_too_many_requests_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "WAITING_MAX", 0)
    session = CassandraSession(Contact(["127.0.0.1"], "k"))
    with pytest.raises(Overloaded):
        await session._execute(lambda _: asyncio.sleep(0), 0.0)


@pytest.mark.anyio
async def test_a_node_that_is_nowhere_is_unavailable() -> None:
    session = CassandraSession(Contact(["127.0.0.1"], "k", port=9))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await session.run("SELECT seq FROM conversation_heads")
    await session.close()


@pytest.mark.anyio
async def test_while_it_is_away_nobody_waits_for_those_before_to_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = 0

    async def away(_: Contact) -> None:
        nonlocal tried
        tried += 1
        await asyncio.sleep(0.1)
        raise CassErrorLibNoHostsAvailable("nobody answers")

    monkeypatch.setattr(driver, "connect", away)
    session = CassandraSession(Contact(["127.0.0.1"], "k"))
    asked = [session.run(f"SELECT seq FROM t{n}") for n in range(50)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert tried == 1


@pytest.mark.anyio
async def test_a_driver_that_takes_its_time_does_not_hold_up_who_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that is paused: the driver waits 10 s for a connection or a statement."""
    answers = asyncio.Event()

    async def slow(_: Contact) -> object:
        await answers.wait()
        raise CassErrorLibNoHostsAvailable("away")

    monkeypatch.setattr(driver, "connect", slow)
    monkeypatch.setattr(driver, "REQUEST_SECONDS", 0.05)
    session = CassandraSession(Contact(["nowhere"], "k"))
    with pytest.raises(Unavailable, match="in time"):
        await session.run("SELECT seq FROM messages")
    answers.set()
    await session.close()


class Prepared:
    """A statement as the driver has it."""

    seconds = driver.REQUEST_SECONDS

    def bind(self) -> "Prepared":
        return Prepared()

    def bind_list(self, values: Sequence[object]) -> None:
        self.values = values

    def set_timeout(self, seconds: float) -> None:
        self.seconds = seconds


class Batch:
    """A batch as the driver has it."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    def add_statement(self, statement: Prepared) -> None:
        pass


class Hung:
    """A driver whose node takes requests, and times out with each of them once it is `given_up`."""

    def __init__(self) -> None:
        self.asked = 0
        self.given_up = asyncio.Event()

    async def create_prepared(self, statement: str) -> Prepared:
        return Prepared()

    async def execute(self, statement: Prepared) -> object:
        self.asked += 1
        await self.given_up.wait()
        raise CassErrorLibRequestTimedOut("Request timed out")


@pytest.mark.anyio
async def test_connecting_and_preparing_count_towards_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Mutant: each step of a first request has a deadline of its own."""
    now = 100.0

    class Slow(Hung):
        async def create_prepared(self, statement: str) -> Prepared:
            nonlocal now
            now += 2.0
            return Prepared()

        async def execute(self, statement: Prepared) -> object:
            asked.append(statement.seconds)
            raise CassErrorLibRequestTimedOut("Request timed out")

        async def execute_batch(self, batch: Batch) -> object:
            asked.append(batch.timeout)
            raise CassErrorLibRequestTimedOut("Request timed out")

    async def connect(_: Contact) -> Slow:
        nonlocal now
        now += 1.0
        return Slow()

    asked: list[float] = []
    monkeypatch.setattr(driver, "connect", connect)
    monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: now))
    session = CassandraSession(Contact(["127.0.0.1"], "k"))
    with pytest.raises(Unavailable):
        await session.run("SELECT seq FROM messages")
    assert asked == [driver.REQUEST_SECONDS - 3.0]
    new = [(f"INSERT INTO t{n} (a) VALUES (?)", (n,)) for n in range(2)]
    monkeypatch.setattr(acsylla, "create_batch_unlogged", Batch)
    with pytest.raises(Unavailable):
        await session.batch(new)
    assert asked == [driver.REQUEST_SECONDS - 3.0, driver.REQUEST_SECONDS - 4.0]
    with pytest.raises(Unavailable):
        await session.batch([(f"DELETE FROM t{n} WHERE a = ?", (n,)) for n in range(3)])
    assert len(asked) == 2, "nothing is sent when no time is left"
    with pytest.raises(Unavailable):
        await session.run("SELECT seq FROM messages")
    assert asked[2] == driver.REQUEST_SECONDS, "what is prepared takes no time"


@pytest.mark.thorough
@pytest.mark.anyio
async def test_behind_a_hung_node_the_last_one_hears_within_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Mutant: a deadline that begins with the slot, which those behind a hung node never get."""
    hung = Hung()

    async def connect(_: Contact) -> Hung:
        return hung

    monkeypatch.setattr(driver, "connect", connect)
    monkeypatch.setattr(driver, "REQUEST_SECONDS", 0.5)
    session = CassandraSession(Contact(["127.0.0.1"], "k"))
    first = [asyncio.create_task(session.run("SELECT 1 FROM t")) for _ in range(IN_FLIGHT_MAX)]
    async with asyncio.timeout(30):
        while hung.asked < IN_FLIGHT_MAX:
            await asyncio.sleep(0)
        behind = [session.run("SELECT 1 FROM t") for _ in range(2_000)]
        results = await asyncio.gather(*behind, return_exceptions=True)
        hung.given_up.set()
        results += await asyncio.gather(*first, return_exceptions=True)
    assert {type(result) for result in results} == {Unavailable}
    assert {str(result) for result in results} == {str(results[0])}
    assert hung.asked == IN_FLIGHT_MAX


@pytest.mark.anyio
async def test_a_large_batch_on_a_slow_node_does_not_miss_deadlines_in_its_own_queue() -> None:
    """Fails when all its steps wait for slots at once: a slow node would never take it whole."""
    running = 0

    async def step(n: int) -> int:
        nonlocal running
        running += 1
        assert running <= driver.IN_FLIGHT_MAX
        await asyncio.sleep(0)
        running -= 1
        return n

    count = 5 * driver.IN_FLIGHT_MAX
    assert await driver.together(map(step, range(count))) == list(range(count))


@pytest.mark.anyio
async def test_after_an_error_no_further_step_of_a_batch_begins() -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def step(n: int) -> None:
        begun.append(n)
        await asyncio.sleep(0)
        if n in {3, 5}:
            raise Unavailable(str(n))
        for _ in range(3):
            await asyncio.sleep(0)
        ended.append(n)

    with pytest.raises(Unavailable, match="3"):
        await driver.together(map(step, range(5 * driver.IN_FLIGHT_MAX)))
    assert begun[: driver.IN_FLIGHT_MAX] == list(range(driver.IN_FLIGHT_MAX))
    assert len(begun) < 2 * driver.IN_FLIGHT_MAX
    assert {*ended, 3, 5} == set(begun), "the error is told once all of these have ended"


class Slow(CassandraSession):
    """Notes what is begun and what has ended; everything that `fails` says does not end well."""

    def __init__(self, fails: str | None = None) -> None:
        self.events: list[tuple[str, str]] = []
        self.written: list[Statement] = []
        self._fails = fails

    async def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        await self.batch([(statement, values)])
        return []

    async def batch(self, statements: Sequence[Statement]) -> None:
        statement, values = statements[0]
        table = statement.split()[2]
        what = f"{table} {values[0]} {values[1]}" if table == "messages" else table
        self.events.append(("begun", what))
        for _ in range(3):
            await asyncio.sleep(0)
        if what == self._fails:
            raise Unavailable("away")
        self.written += statements
        self.events.append(("ended", what))

    def place(self, kind: str, what: str) -> list[int]:
        return [n for n, event in enumerate(self.events) if event == (kind, what)]


def a_bit_of_all() -> StoreBatch:
    """Three buckets of one conversation, one of another, and a marker."""
    messages = [message(seq) for seq in range(998, 2_003)] + [message(1, CHATS[1])]
    ids = {
        IdKey(m.conversation_id, m.message_id, m.sender_id): IdEntry(m.seq, m.log_position)
        for m in messages
    }
    markers = [Marker(CHATS[0], Username("ana"), 3, 2)]
    heads = {m.conversation_id: Head(m.seq, m.log_position) for m in messages}
    return StoreBatch((), messages, ids, markers, heads)


@pytest.mark.anyio
async def test_markers_of_many_members_are_written_in_parts() -> None:
    """Fails when one conversation's markers are one batch, which Cassandra refuses above 16 MiB."""
    markers = [Marker(CHATS[0], Username(f"{number:0256}"), 1, 0) for number in range(5_000)]
    session = Slow()
    sizes: list[int] = []

    async def batch(statements: Sequence[Statement]) -> None:
        sizes.append(sum(ROW_BYTES + len(str(values[1])) for _, values in statements))
        await Slow.batch(session, statements)

    session.batch = batch  # type: ignore[method-assign]
    await CassandraStore(session).write(StoreBatch((), markers=markers))
    assert {values[1] for _, values in session.written} == {marker.username for marker in markers}
    assert max(sizes) <= BATCH_BYTES < sum(sizes)
    assert len(sizes) < 5


TABLES = ["messages", "message_ids", "read_markers", "conversation_heads"]


@pytest.mark.anyio
async def test_each_stage_is_acknowledged_before_the_next_and_each_bucket_before_its_next() -> None:
    session = Slow()
    await CassandraStore(session).write(a_bit_of_all())
    buckets = [f"messages {CHATS[0]} {n}" for n in range(3)]
    for one, following in pairwise(buckets):
        assert session.place("ended", one) < session.place("begun", following)
    stages = [TABLES.index(what.split()[0]) for _, what in session.events]
    assert stages == sorted(stages)
    assert set(stages) == {0, 1, 2, 3}
    of_heads = (values for text, values in session.written if "conversation_heads" in text)
    assert {str(values[0]) for values in of_heads} == set(CHATS[:2])
    assert len(set(session.written)) == len(session.written), "nothing is written twice"


@pytest.mark.anyio
async def test_nothing_follows_what_was_not_acknowledged() -> None:
    session = Slow(fails=f"messages {CHATS[0]} 1")
    with pytest.raises(Unavailable):
        await CassandraStore(session).write(a_bit_of_all())
    assert {what for _, what in session.events} == {
        f"messages {CHATS[0]} 0",
        f"messages {CHATS[0]} 1",
        f"messages {CHATS[1]} 0",
    }


@pytest.mark.anyio
async def test_a_dead_letter_without_headers_writes_no_null() -> None:
    session = Slow()
    plain = DeadLetter(LAST, "no JSON", b"key", b"value")
    traced = replace(plain, headers=(("traceparent", b"00-1"),))
    await CassandraDeadLetters(session).add([plain, traced])
    puts = [put for put in session.written if put[0].startswith("INSERT")]
    assert [len(values) for _, values in puts] == [7, 8]
    assert [text.count("?") for text, _ in puts] == [7, 8]
    assert all(value is not None for _, values in puts for value in values)


class Heads(CassandraSession):
    """Answers what is asked of heads, of one message and of when this release came."""

    def __init__(self, heads: Sequence[Row], upgraded_ms: int) -> None:
        self._heads = heads
        self._came = upgraded_ms
        self.asked: list[str] = []

    async def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        table = statement.split(" FROM ")[1].split(maxsplit=1)[0]
        self.asked.append(table)
        if table == "schema_migrations":
            return [(self._came,)]
        if table == "messages":
            return [(1, uuid.UUID(int=1), "ana", "x", 4_000, *[None] * 9)]
        return [*self._heads]


@pytest.mark.anyio
async def test_heads_of_earlier_releases_are_ordered_by_no_later_than_the_upgrade() -> None:
    keys = [uuid.UUID(int=n) for n in range(4)]
    rows = [(keys[0], 9, 50_000, 1, 3), (keys[1], 9, None, 7_000, 3), (keys[2], 9, None, 2**45, 0)]
    session = Heads([*rows, (keys[3], 1, None, None, None)], 20_000)
    store = CassandraStore(session)
    chats = [ConversationId(str(key)) for key in keys]
    for _ in range(2):
        found = await store.activity(chats)
        assert [found[chat].order_ms for chat in chats] == [50_000, 7_000, 20_000, 4_000]
        assert [found[chat].change for chat in chats] == [3, 3, 0, 0]
    assert session.asked.count("schema_migrations") == 1


@pytest.mark.anyio
async def test_heads_of_this_release_cost_no_further_question() -> None:
    session = Heads([(uuid.UUID(int=1), 9, 50_000, None, None)], 20_000)
    await CassandraStore(session).activity([ConversationId(str(uuid.UUID(int=1)))])
    assert session.asked == ["conversation_heads"]
