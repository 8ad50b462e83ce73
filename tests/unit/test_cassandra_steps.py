"""What a migration makes of a keyspace, on a double of the driver's session."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

import acsylla
import pytest

from chat4all.adapters.cassandra import Contact, migrate, migrating
from chat4all.adapters.cassandra.verifying import Column, Table, expected_tables
from chat4all.domain.errors import StartRefused, Unavailable

pytestmark = pytest.mark.anyio

CONTACT = Contact(["somewhere"], "k")
NETWORK = {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1": "3"}
STEPS = migrating.steps()
STATEMENTS = [one for step in STEPS.values() for one in migrating._statements(step)]
TABLES = expected_tables(STATEMENTS)

_KEYSPACE = re.compile(
    r'CREATE KEYSPACE IF NOT EXISTS "(\w+)" WITH replication = '
    r"{'class': 'NetworkTopologyStrategy', 'replication_factor': (\d+)}"
)
_MIGRATIONS = re.compile(
    r"\s*CREATE TABLE IF NOT EXISTS schema_migrations \(.*\) WITH id = ([-0-9a-f]{36})\s*",
    re.DOTALL,
)


@dataclass
class Statement:
    text: str
    values: list[object] = field(default_factory=list)

    def bind(self) -> "Statement":
        return Statement(self.text)

    def bind_list(self, values: list[object]) -> None:
        assert values
        self.values = values


@dataclass
class Result:
    rows: list[tuple[Any, ...]]

    def all(self) -> list["Result"]:
        return [Result([row]) for row in self.rows]

    def as_tuple(self) -> tuple[Any, ...]:
        (row,) = self.rows
        return row


@dataclass
class Node:
    """A session on a node with at most one keyspace. Only what a migration asks is understood."""

    replication: Mapping[str, str] | None = None
    is_durable: bool = True
    tables: dict[str, Table] = field(default_factory=dict)
    ids: list[uuid.UUID] = field(default_factory=list)
    """The id of the table of steps, each time it was asked for."""
    applied: dict[int, str] = field(default_factory=dict)
    holder: uuid.UUID | None = None
    holders: list[tuple[uuid.UUID, int]] = field(default_factory=list)
    """Who was given the lock, and for how many seconds."""
    generation: str | None = None
    ran: list[str] = field(default_factory=list)
    """The statements of steps."""
    used: str | None = None
    before: Callable[[str], None] | None = None
    """Called with each statement of a step before it is run."""
    is_closed: bool = False

    async def set_keyspace(self, name: str) -> None:
        assert self.replication is not None
        self.used = name

    async def create_prepared(self, text: str) -> Statement:
        return Statement(text)

    async def close(self) -> None:
        self.is_closed = True

    async def execute(self, statement: Statement) -> Result:
        return Result(self._rows(statement.text, statement.values) or [])

    def _rows(self, text: str, values: list[Any]) -> list[tuple[Any, ...]] | None:
        if (made := _KEYSPACE.fullmatch(text)) is not None:
            assert made[1] == CONTACT.keyspace
            self.replication = self.replication or NETWORK | {"dc1": made[2]}
            return None
        if text in (migrating._KEYSPACE, migrating._COLUMNS, migrating._TABLES):
            assert values == [CONTACT.keyspace]
            return self._schema(text)
        assert self.used == CONTACT.keyspace
        if (made := _MIGRATIONS.fullmatch(text)) is not None:
            self.ids.append(uuid.UUID(made[1]))
            return None
        if text == migrating._LOCK:
            return self._lock(*values)
        assert self.holder is not None, "only under the lock"
        return self._under_the_lock(text, values)

    def _schema(self, text: str) -> list[tuple[Any, ...]]:
        if text == migrating._KEYSPACE:
            return [(self.replication, self.is_durable)]
        if text == migrating._TABLES:
            return [(name, table.seconds) for name, table in self.tables.items()]
        return [
            (name, column, *about)
            for name, table in self.tables.items()
            for column, about in table.columns.items()
        ]

    def _lock(self, holder: uuid.UUID, seconds: int) -> list[tuple[Any, ...]]:
        if self.holder is not None:
            return [(False, 0, self.holder, None, None)]
        self.holder = holder
        self.holders.append((holder, seconds))
        return [(True,)]

    def _under_the_lock(self, text: str, values: list[Any]) -> list[tuple[Any, ...]] | None:
        if text == migrating._UNLOCK:
            if values == [self.holder]:
                self.holder = None
        elif text == migrating._APPLIED:
            return [(0,), *((number,) for number in self.applied)]  # the lock's row is one of them
        elif text == migrating._APPLY:
            self.applied.setdefault(*values)
        elif text == migrating._BEGIN_GENERATION:
            self.generation = self.generation or values[0]
        else:
            if self.before is not None:
                self.before(text)
            assert not values
            self._run(text)
        return None

    def _run(self, text: str) -> None:
        self.ran.append(text)
        ((name, made),) = expected_tables([_as_created(text)]).items()
        there = self.tables.get(name, made)
        if text.strip().startswith("ALTER"):
            there = Table({**made.columns, **self.tables[name].columns})
        self.tables[name] = there


def _as_created(text: str) -> str:
    """Return what adds columns to a table as what creates a table of them."""
    added = re.sub(r"ADD IF NOT EXISTS ([^(].*)", r"ADD IF NOT EXISTS (\1)", text.strip())
    return re.sub(r"ALTER TABLE (\w+) ADD IF NOT EXISTS", r"CREATE TABLE IF NOT EXISTS \1", added)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node()

    async def connect(contact: Contact, seconds: float) -> Node:
        assert (contact, seconds) == (CONTACT, migrating.STEP_SECONDS)
        return node

    monkeypatch.setattr(migrating, "connect", connect)
    monkeypatch.setattr(acsylla, "create_statement", Statement)
    return node


async def test_a_keyspace_gets_all_that_this_release_needs(node: Node) -> None:
    await migrate(CONTACT, replicas=3)
    assert node.replication == NETWORK
    assert node.tables == TABLES
    assert node.ran == STATEMENTS
    assert node.applied == {number: step.name for number, step in STEPS.items()}
    assert node.generation is not None
    assert uuid.UUID(node.generation).version == 4
    assert node.is_closed


async def test_without_more_nodes_there_is_one_copy(node: Node) -> None:
    await migrate(CONTACT)
    assert node.replication == NETWORK | {"dc1": "1"}


def test_the_steps_are_numbered_in_their_order() -> None:
    assert [*STEPS] == [*range(1, len(STEPS) + 1)]
    assert [step.name[:5] for step in STEPS.values()] == [f"{number:04}_" for number in STEPS]


def test_steps_come_in_order_from_wherever_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package may be in an archive, whose files have no order."""
    names = ("0010_b.cql", "0002_a.cql", "__init__.py", "0003_a.cql.old", "12_a.cql", "0001_c.cql")
    found = [Mock() for _ in names]
    for one, name in zip(found, names, strict=True):
        one.name = name
    package = Mock()
    package.joinpath("migrations").iterdir.return_value = found
    monkeypatch.setattr(migrating, "files", lambda _: package)
    steps = migrating.steps()
    assert [*steps] == [1, 2, 10]
    assert [step.name for step in steps.values()] == ["0001_c.cql", "0002_a.cql", "0010_b.cql"]


def test_a_step_is_its_statements_without_their_comments() -> None:
    step = Mock()
    step.read_text.return_value = "-- One; and more.\nCREATE a; -- b\n\nCREATE c\n;\n"
    assert [one.strip() for one in migrating._statements(step)] == ["CREATE a", "CREATE c"]


async def test_what_was_applied_is_not_applied_again(node: Node) -> None:
    await migrate(CONTACT)
    ran, generation = [*node.ran], node.generation
    await migrate(CONTACT)
    assert (node.ran, node.generation) == (ran, generation)


async def test_a_keyspace_of_an_earlier_release_gets_what_it_lacks(node: Node) -> None:
    await migrate(CONTACT)
    later = (3, len(STEPS))  # one between two that were applied, and the last one
    for number in later:
        del node.applied[number]
    node.ran.clear()
    await migrate(CONTACT)
    assert node.ran == [one for number in later for one in migrating._statements(STEPS[number])]
    assert set(node.applied) == set(STEPS)


async def test_a_step_that_was_cut_off_is_begun_again(node: Node) -> None:
    """Fails when a step is noted before all of its statements have run."""

    def fail(text: str) -> None:
        if "headers" in text:  # step 4
            raise Unavailable("gone")

    node.before = fail
    with pytest.raises(Unavailable, match="gone"):
        await migrate(CONTACT)
    assert set(node.applied) == {1, 2, 3}
    assert (node.holder, node.generation, node.is_closed) == (None, None, True)
    node.before = None
    await migrate(CONTACT)
    assert node.tables == TABLES
    assert len(node.ran) == len(STATEMENTS)


async def test_each_migration_has_the_lock_in_its_own_name(node: Node) -> None:
    """Else one whose lock has expired would take away the next one's."""
    await migrate(CONTACT)
    await migrate(CONTACT)
    (first, seconds), (second, _) = node.holders
    assert first != second
    assert seconds == migrating.LOCK_SECONDS
    assert node.holder is None


async def test_two_nodes_make_one_table_of_steps(node: Node) -> None:
    """Two that are asked at once each make one; with one id it is the same."""
    await migrate(CONTACT)
    await migrate(CONTACT)
    first, second = node.ids
    assert first == second == uuid.uuid5(migrating._NAMES, "k")


async def test_a_keyspace_that_is_not_as_it_would_be_made_is_refused(node: Node) -> None:
    node.replication, node.is_durable = NETWORK | {"dc1": "1"}, False
    with pytest.raises(StartRefused) as refused:
        await migrate(CONTACT, replicas=3)
    assert str(refused.value) == (
        "keyspace k is not as `chat4all migrate` makes it (it has 1 copies in dc1 instead of 3; "
        "its durable_writes is false: a killed node forgets what it acknowledged): "
        "set CHAT4ALL_CASSANDRA_REPLICAS to what it has, or change it with ALTER KEYSPACE and "
        "repair it; then run `chat4all migrate` again"
    )
    assert (node.ids, node.ran, node.is_closed) == ([], [], True)


async def test_tables_that_are_not_as_they_would_be_made_are_refused(node: Node) -> None:
    node.tables["log_epochs"] = Table(TABLES["log_epochs"].columns, 60)
    node.tables["store_generation"] = Table(
        {**TABLES["store_generation"].columns, "generation": Column("regular", -1, "int", "none")}
    )
    with pytest.raises(StartRefused) as refused:
        await migrate(CONTACT)
    assert str(refused.value) == (
        "the tables of keyspace k are not as `chat4all migrate` makes them "
        "(rows of log_epochs vanish after 60 s; "
        "store_generation.generation is int (regular) instead of text (regular)): "
        "name another keyspace with CASSANDRA_KEYSPACE, or set them right; "
        "then run `chat4all migrate` again"
    )
    # Whoever found a generation would take such a keyspace for ready.
    assert (node.generation, node.holder, node.is_closed) == (None, None, True)


async def test_the_original_layout_is_refused_before_anything_is_made(node: Node) -> None:
    original = {
        "conversation_id": Column("partition_key", 0, "uuid", "none"),
        "message_id": Column("clustering", 0, "uuid", "asc"),
    }
    node.tables["messages"] = Table(original)
    with pytest.raises(StartRefused) as refused:
        await migrate(CONTACT)
    assert str(refused.value) == (
        "the table messages of keyspace k has the original layout, which this release does not "
        "migrate yet: name another keyspace with CASSANDRA_KEYSPACE"
    )
    assert node.tables == {"messages": Table(original)}
    assert (node.ids, node.is_closed) == ([], True)
