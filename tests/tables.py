"""Cassandra's tables in memory, with the statements of its adapters: the last write wins.

A cell has a value and a write time; a later time wins, of equal times the larger value. Nothing is
ever refused for what is there already; a number that its column cannot have is. What a request
writes to one partition is written whole or not at all (`by_partition`).
"""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from operator import eq, ge, gt, le
from typing import Any, NamedTuple, cast

from chat4all.adapters.cassandra import CassandraDeadLetters, CassandraSession, CassandraStore
from chat4all.adapters.cassandra.session import Row, Statement

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\)([^;]*);", re.DOTALL)
_ADDED = re.compile(r"ALTER TABLE (\w+) ADD IF NOT EXISTS \(?([\w\s,<>]+?)\)?;")
_OF_A_TYPE = re.compile(r"<[^<>]*>")
_KEY = re.compile(r"PRIMARY KEY \((?:\(([^)]*)\)|(\w+))(?:, ([^)]*))?\)")
_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\) VALUES \([?, ]*\)( USING TIMESTAMP \?)?\Z")
_UPDATE = re.compile(r"UPDATE (\w+) SET (.*) WHERE (.*) IF EXISTS\Z")
_CELL = re.compile(r"UPDATE (\w+) USING TIMESTAMP \? SET (\w+)\[\?\] = \? WHERE (.*)\Z")
_SELECT = re.compile(
    r"SELECT (?P<distinct>DISTINCT )?(?P<what>.*?) FROM (?P<table>\w+)(?: WHERE (?P<where>.*?))?"
    r"(?: ORDER BY \w+(?P<order> ASC| DESC)?)?(?: LIMIT (?P<limit>\d+|\?))?\Z"
)
_CONDITION = re.compile(r"(\w+) (=|>=|<=|>|IN) \?\Z")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": eq,
    ">": gt,
    ">=": ge,
    "<=": le,
    "IN": lambda value, several: value in several,
}
_BITS = {"tinyint": 7, "int": 31, "bigint": 63}

Key = tuple[Any, ...]
Cells = dict[str, tuple[int, Any]]


class Table(NamedTuple):
    """What the migrations say of a table."""

    columns: Mapping[str, str]
    """The type of each."""
    partition: tuple[str, ...]
    clustering: tuple[str, ...]
    newest_first: bool

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.partition, *self.clustering)

    def takes(self, name: str, value: Any) -> bool:
        """Whether a value, or each of several, fits its column."""
        if isinstance(value, list):
            return all(self.takes(name, one) for one in value)
        bits = _BITS.get(self.columns[name])
        return bits is None or -(2**bits) <= value < 2**bits


@cache
def schema() -> dict[str, Table]:
    """Return the tables as the migrations make them."""
    folder = files("chat4all.adapters.cassandra") / "migrations"
    steps = sorted((s for s in folder.iterdir() if s.name.endswith(".cql")), key=lambda s: s.name)
    text = "\n".join(step.read_text() for step in steps)
    found = {}
    for name, body, options in _TABLE.findall(text):
        lines = [line.split() for line in body.splitlines() if line.startswith("    ")]
        columns = {name: rest[0].strip(",") for name, *rest in lines if name != "PRIMARY"}
        if key := _KEY.search(body):
            partition = _names(key[1] or key[2])
            clustering = _names(key[3] or "")
        else:
            partition, clustering = (body.split("PRIMARY KEY")[0].split()[-2],), ()
        found[name] = Table(columns, partition, clustering, "DESC" in options)
    for name, added in _ADDED.findall(text):
        more = dict(column.split() for column in _OF_A_TYPE.sub("", added).split(","))
        found[name] = found[name]._replace(columns={**found[name].columns, **more})
    applied = {"version": "int", "applied_at": "timestamp"}
    return found | {"schema_migrations": Table(applied, ("version",), (), newest_first=False)}


def _names(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text))


class _Cell(NamedTuple):
    """One entry of a map, which has a write time of its own."""

    key: str
    value: object


class Tables:
    """A `CassandraSession` for tests."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Key, dict[Key, Cells]]] = defaultdict(lambda: defaultdict(dict))

    async def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """See `CassandraSession.run`."""
        if found := _SELECT.match(statement):
            return self._select(found, list(values))
        if found := _UPDATE.match(statement):
            self._update(found, values)
            return []
        await self.batch([(statement, values)])
        return []

    async def batch(self, statements: Sequence[Statement]) -> None:
        """See `CassandraSession.batch`."""
        assert statements, "a request without a statement"
        for work in self.by_partition(statements):
            self.apply(work)

    def by_partition(self, statements: Sequence[Statement]) -> list[list[Statement]]:
        """Return what a request writes whole or not at all."""
        partitions: dict[tuple[str, Key], list[Statement]] = {}
        for statement, values in statements:
            table, row, _ = _inserted(statement, values)
            key = tuple(row[name] for name in schema()[table].partition)
            partitions.setdefault((table, key), []).append((statement, values))
        return list(partitions.values())

    def apply(self, work: Sequence[Statement], columns: frozenset[str] | None = None) -> None:
        """Write, of each row all cells, or only some: what a read repair leaves of it."""
        for statement, values in work:
            table, row, write_time = _inserted(statement, values)
            shape = schema()[table]
            for name, value in row.items():
                assert name in shape.columns, f"{table} has no column {name}"
                assert value is not None, "an inserted null is a tombstone"
                assert shape.takes(name, value), f"{value} does not fit {table}.{name}"
            cells = self._cells(table, row)
            for name in row.keys() - set(shape.keys) if columns is None else row.keys() & columns:
                if isinstance(value := row[name], _Cell):
                    of_a_map = cells.setdefault(name, (0, {}))[1]
                    _put(of_a_map, value.key, write_time, value.value)
                else:
                    _put(cells, name, write_time, value)

    def _cells(self, table: str, row: dict[str, Any]) -> Cells:
        shape = schema()[table]
        partition = self._rows[table][tuple(row[name] for name in shape.partition)]
        return partition.setdefault(tuple(row[name] for name in shape.clustering), {})

    def _update(self, statement: re.Match[str], values: Sequence[Any]) -> None:
        table, names = statement[1], [*_assigned(statement[2], ", "), *_assigned(statement[3])]
        row = dict(zip(names, values, strict=True))
        shape = schema()[table]
        key = tuple(row.pop(name) for name in shape.partition)
        cells = self._rows[table][key].get(tuple(row.pop(name) for name in shape.clustering))
        if cells is not None:
            for name, value in row.items():
                _put(cells, name, time.time_ns() // 1_000, value)

    def _select(self, found: re.Match[str], values: list[Any]) -> list[Row]:
        table, shape = self._rows[found["table"]], schema()[found["table"]]
        wanted = [column.strip() for column in found["what"].split(",")]
        if found["distinct"]:
            return [key for key, rows in table.items() if rows]
        limit = values.pop() if found["limit"] == "?" else int(found["limit"] or 2**31)
        names = _conditions(found["where"])
        assert len(names) == len(values), "a condition is not understood"
        conditions = [(n, _COMPARE[o], v) for (n, o), v in zip(names, values, strict=True)]
        assert all(shape.takes(name, value) for name, _, value in conditions), values
        several = [comparison == "IN" for _, comparison in names]
        assert several == [isinstance(value, list) for value in values], "IN takes a list"
        backwards = found["order"] == " DESC" if found["order"] else shape.newest_first
        rows: list[Row] = []
        for key in _partitions(table, shape, conditions):
            for clustering in sorted(
                _clusterings(table[key], shape, conditions), reverse=backwards
            ):
                place = dict(zip(shape.keys, key + clustering, strict=True))
                cells = table[key][clustering]
                rows.append(tuple(_value(column, place, cells) for column in wanted))
                if len(rows) == limit:
                    return rows
        return rows


def _conditions(where: str | None, between: str = " AND ") -> list[tuple[str, str]]:
    """Return the columns and comparisons; a condition that is not understood is an error."""
    found = [_CONDITION.match(one) for one in where.split(between)] if where else []
    assert None not in found, where
    return [(one[1], one[2]) for one in found if one]


def _assigned(text: str, between: str = " AND ") -> list[str]:
    """Return the columns of equations."""
    equations = _conditions(text, between)
    assert {comparison for _, comparison in equations} == {"="}, text
    return [name for name, _ in equations]


def _partitions(
    table: dict[Key, Any], shape: Table, conditions: list[tuple[str, Any, Any]]
) -> Iterator[Key]:
    within = [(shape.partition.index(n), h, v) for n, h, v in conditions if n in shape.partition]
    exact = {n: v for n, h, v in within if h is eq}
    if len(exact) == len(shape.partition):
        key = tuple(exact[n] for n in range(len(exact)))
        yield from (key,) if key in table else ()
        return
    yield from (key for key in list(table) if all(h(key[n], v) for n, h, v in within))


def _clusterings(
    rows: dict[Key, Cells], shape: Table, conditions: list[tuple[str, Any, Any]]
) -> list[Key]:
    """Return the keys of the rows that meet all conditions."""
    found = list(rows)
    for name, holds, value in conditions:
        if name in shape.clustering:
            place = shape.clustering.index(name)
            wanted = set(value) if isinstance(value, list) else value
            found = [key for key in found if holds(key[place], wanted)]
    return found


def _value(column: str, place: dict[str, Any], cells: Cells) -> Any:
    name = column.removeprefix("toUnixTimestamp(").removesuffix(")")
    value = place[name] if name in place else cells.get(name, (0, None))[1]
    if isinstance(value, dict):
        return {key: of_one for key, (_, of_one) in value.items()}
    if name != column and isinstance(value, datetime):
        return int(value.timestamp() * 1_000 + 0.5)
    return value


@cache
def _columns(statement: str) -> tuple[str, tuple[str, ...], bool]:
    found = _INSERT.match(statement)
    assert found is not None, f"a statement that these tables do not know: {statement}"
    return found[1], _names(found[2]), found[3] is not None


def _inserted(statement: str, values: Sequence[Any]) -> tuple[str, dict[str, Any], int]:
    """Return the table, the values by column and the write time."""
    if cell := _CELL.match(statement):
        write_time, key, value, *of_row = values
        return (
            cell[1],
            dict(zip(_assigned(cell[3]), of_row, strict=True)) | {cell[2]: _Cell(key, value)},
            write_time,
        )
    table, columns, timed = _columns(statement)
    write_time = values[-1] if timed else time.time_ns() // 1_000
    return table, dict(zip(columns, values, strict=not timed)), write_time


def _put(cells: Cells, name: str, write_time: int, value: Any) -> None:
    known = cells.get(name)
    if known is None or (write_time, value) > known:
        cells[name] = (write_time, value)


class StoreOnTables(CassandraStore, CassandraDeadLetters):
    """The store and the dead letters, as they are on Cassandra."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(cast("CassandraSession", tables))
