"""Whether a keyspace that exists, and its tables, are what the migrations would have created."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_CREATE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\)(?: WITH .*)?", re.DOTALL)
_ALTER = re.compile(r"ALTER TABLE (\w+) ADD IF NOT EXISTS (.*)", re.DOTALL)
_KEY = re.compile(r"PRIMARY KEY \((?:\((.*?)\)|(\w+))(?:, (.*))?\)", re.DOTALL)
_DESCENDING = re.compile(r"CLUSTERING ORDER BY \((\w+) DESC\)")


class Column(NamedTuple):
    """A column as `system_schema.columns` has it; `position` is -1 outside the key."""

    kind: str
    position: int
    type: str
    order: str


class Table(NamedTuple):
    """A table. `seconds`: after which its rows vanish by themselves; 0 for never."""

    columns: Mapping[str, Column]
    seconds: int = 0


def expected_tables(statements: Iterable[str]) -> dict[str, Table]:
    """Return the tables that the statements of all migrations create, in order."""
    tables: dict[str, dict[str, Column]] = {}
    for statement in map(str.strip, statements):
        if created := _CREATE.fullmatch(statement):
            tables[created[1]] = _columns(created[2], statement)
        elif added := _ALTER.fullmatch(statement):
            inner = added[2].removeprefix("(").removesuffix(")")
            tables[added[1]] |= _columns(inner, statement)
        else:
            raise ValueError(f"this statement is not understood: {statement}")
    return {name: Table(columns) for name, columns in tables.items()}


def _columns(text: str, statement: str) -> dict[str, Column]:
    key = _KEY.search(text)
    partition, clustering = [], []
    if key is not None:
        partition = [name.strip() for name in (key[1] or key[2]).split(",")]
        clustering = [name.strip() for name in (key[3] or "").split(",") if name.strip()]
        text = text.replace(key[0], "")
    descending = set(_DESCENDING.findall(statement))
    columns = {}
    # A comma inside <…> belongs to a type.
    for one in re.split(r",(?![^<]*>)", text):
        if not one.strip():
            continue
        name, _, type_ = " ".join(one.split()).partition(" ")
        if type_.endswith(" PRIMARY KEY"):
            type_ = type_.removesuffix(" PRIMARY KEY")
            partition = [name]
        stored = f"frozen<{type_}>" if type_.startswith("tuple<") else type_
        if name in partition:
            columns[name] = Column("partition_key", partition.index(name), stored, "none")
        elif name in clustering:
            order = "desc" if name in descending else "asc"
            columns[name] = Column("clustering", clustering.index(name), stored, order)
        else:
            columns[name] = Column("regular", -1, stored, "none")
    return columns


def table_troubles(found: Mapping[str, Table], expected: Mapping[str, Table]) -> list[str]:
    """Return what is wrong with the tables. More tables and more columns do no harm."""
    troubles = []
    for name, table in expected.items():
        if name not in found:
            troubles.append(f"there is no table {name}")
            continue
        actual = found[name]
        if actual.seconds:
            troubles.append(f"rows of {name} vanish after {actual.seconds} s")
        for column, wanted in table.columns.items():
            if column not in actual.columns:
                troubles.append(f"{name} has no column {column}")
            elif actual.columns[column] != wanted:
                troubles.append(
                    f"{name}.{column} is {_worded(actual.columns[column])} instead of "
                    f"{_worded(wanted)}"
                )
        extra = {
            column
            for column, about in actual.columns.items()
            if about.kind in ("partition_key", "clustering") and column not in table.columns
        }
        troubles += [f"{name} has {column} in its key" for column in sorted(extra)]
    return troubles


def _worded(column: Column) -> str:
    place = "" if column.position < 0 else f" {column.position + 1}"
    order = "" if column.order == "none" else f" {column.order}"
    return f"{column.type} ({column.kind.replace('_', ' ')}{place}{order})"


def keyspace_troubles(replication: Mapping[str, str], *, durable: bool, replicas: int) -> list[str]:
    """Return what is wrong with a keyspace that should have so many copies in each datacentre."""
    troubles = []
    strategy = replication.get("class", "").rpartition(".")[2]
    if strategy != "NetworkTopologyStrategy":
        troubles.append(f"its replication is {strategy} instead of NetworkTopologyStrategy")
    elif len(replication) == 1:
        troubles.append("it has copies in no datacentre")
    copies = {name: value for name, value in replication.items() if name != "class"}
    troubles += [
        f"it has {value} copies in {name} instead of {replicas}"
        for name, value in copies.items()
        if value != str(replicas)
    ]
    if not durable:
        troubles.append("its durable_writes is false: a killed node forgets what it acknowledged")
    return troubles
