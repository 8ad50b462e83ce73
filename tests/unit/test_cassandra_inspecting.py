"""What is concluded from the state of a node and of a keyspace, without a node."""

from collections.abc import Sequence

import pytest

from chat4all.adapters.cassandra import CassandraInspection, CassandraSession
from chat4all.adapters.cassandra.inspecting import Node
from chat4all.adapters.cassandra.session import Row


class Answering(CassandraSession):
    """Answers everything with one row."""

    def __init__(self, row: Row) -> None:
        self.row = row

    async def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        return [self.row]


@pytest.mark.parametrize(
    ("settings", "syncs"),
    [
        ({"commitlog_sync": "batch"}, True),
        ({"commitlog_sync": "group"}, True),
        ({"commitlog_sync": "periodic"}, False),
        ({"commitlog_sync": None}, False),
        ({}, False),
    ],
)
def test_a_node_that_answers_before_it_syncs_is_known(
    settings: dict[str, str | None], *, syncs: bool
) -> None:
    assert Node("5.0.5", 0, settings).syncs_before_ack is syncs


@pytest.mark.anyio
async def test_the_datacentre_with_the_most_copies_counts() -> None:
    replication = {"class": "NetworkTopologyStrategy", "one": "1", "other": "3", "third": "2"}
    assert await CassandraInspection(Answering((replication,))).replicas("k") == 3
