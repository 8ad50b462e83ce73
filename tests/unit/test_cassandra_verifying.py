"""What a keyspace that exists is compared with, without a node."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from chat4all.adapters.cassandra.migrating import _statements as statements_of
from chat4all.adapters.cassandra.migrating import steps
from chat4all.adapters.cassandra.verifying import (
    Column,
    Table,
    expected_tables,
    keyspace_troubles,
    table_troubles,
)

EXPECTED = expected_tables([one for step in steps().values() for one in statements_of(step)])


def test_the_migrations_are_understood() -> None:
    assert set(EXPECTED) == {
        "messages",
        "message_ids",
        "conversation_heads",
        "read_markers",
        "dead_letters",
        "log_epochs",
        "changes",
        "change_ids",
        "edits",
        "mentions",
        "store_generation",
    }
    position = Column("regular", -1, "frozen<tuple<int, int, bigint>>", "none")
    messages = EXPECTED["messages"].columns
    assert len(messages) == 17
    assert messages["reactions"] == Column("regular", -1, "map<text, bigint>", "none")
    assert messages["bucket"] == Column("partition_key", 1, "int", "none")
    assert messages["seq"] == Column("clustering", 0, "bigint", "desc")
    assert messages["log_position"] == position
    assert EXPECTED["message_ids"].columns["sender_id"] == Column("clustering", 1, "text", "asc")
    markers = EXPECTED["read_markers"].columns
    assert markers["conversation_id"] == Column("partition_key", 0, "uuid", "none")
    assert markers["username"] == Column("clustering", 0, "text", "asc")
    assert EXPECTED["conversation_heads"].columns == {
        "conversation_id": Column("partition_key", 0, "uuid", "none"),
        "seq": Column("regular", -1, "bigint", "none"),
        "log_position": position,
        "created_at": Column("regular", -1, "timestamp", "none"),
        "order_ms": Column("regular", -1, "bigint", "none"),  # from a later migration
        "change": Column("regular", -1, "bigint", "none"),
        "change_position": position,
    }
    assert {"delivered_ms", "read_ms"} < set(markers)


def test_a_statement_that_is_not_understood_is_no_silent_pass() -> None:
    with pytest.raises(ValueError, match="not understood"):
        expected_tables(["CREATE INDEX i ON messages (sender_id)"])


@dataclass
class Found:
    """The tables as they should be, to be changed."""

    tables: dict[str, Table] = field(default_factory=lambda: dict(EXPECTED))

    def change(self, table: str, column: str, about: Column | None) -> "Found":
        columns = dict(self.tables[table].columns)
        columns.pop(column, None)
        if about is not None:
            columns[column] = about
        self.tables[table] = Table(columns)
        return self

    def without(self, table: str) -> "Found":
        del self.tables[table]
        return self

    def vanishing(self, table: str) -> "Found":
        self.tables[table] = Table(self.tables[table].columns, 60)
        return self

    @property
    def troubles(self) -> list[str]:
        return table_troubles(self.tables, EXPECTED)


def test_more_than_is_needed_does_no_harm() -> None:
    found = Found().change("messages", "note", Column("regular", -1, "text", "none"))
    found.tables["schema_migrations"] = Table({})
    assert found.troubles == []


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Found().without("log_epochs"), "there is no table log_epochs"),
        (Found().vanishing("messages"), "rows of messages vanish after 60 s"),
        (Found().change("dead_letters", "headers", None), "dead_letters has no column headers"),
        (
            Found().change("messages", "seq", Column("clustering", 0, "bigint", "asc")),
            "messages.seq is bigint (clustering 1 asc) instead of bigint (clustering 1 desc)",
        ),
        (
            Found().change("messages", "content", Column("regular", -1, "blob", "none")),
            "messages.content is blob (regular) instead of text (regular)",
        ),
        (
            Found().change("messages", "bucket", Column("partition_key", 1, "bigint", "none")),
            "messages.bucket is bigint (partition key 2) instead of int (partition key 2)",
        ),
        (
            Found().change("messages", "day", Column("partition_key", 2, "int", "none")),
            "messages has day in its key",
        ),
        (
            Found().change("messages", "day", Column("clustering", 1, "int", "asc")),
            "messages has day in its key",
        ),
    ],
)
def test_what_would_lose_or_hide_messages_is_said(found: Found, says: str) -> None:
    assert found.troubles == [says]


NETWORK = {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy"}


@pytest.mark.parametrize(
    ("replication", "durable", "says"),
    [
        (NETWORK | {"dc1": "3", "dc2": "3"}, True, []),
        (NETWORK | {"dc1": "3", "dc2": "1"}, True, ["it has 1 copies in dc2 instead of 3"]),
        (NETWORK, True, ["it has copies in no datacentre"]),
        (NETWORK | {"dc1": "3"}, False, ["its durable_writes is false"]),
        (
            {"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "3"},
            True,
            ["its replication is SimpleStrategy instead of NetworkTopologyStrategy"],
        ),
    ],
)
def test_a_keyspace_has_the_copies_that_were_asked_for(
    replication: Mapping[str, str], durable: bool, says: list[str]
) -> None:
    found = keyspace_troubles(replication, durable=durable, replicas=3)
    assert [trouble.partition(":")[0] for trouble in found] == says
