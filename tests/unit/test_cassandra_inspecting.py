"""What is concluded from what a node answers, and from its errors, without a node."""

from collections.abc import Sequence

import pytest
from acsylla.errors import (
    CassErrorLibHostResolution,
    CassErrorLibNoHostsAvailable,
    CassErrorLibRequestTimedOut,
    CassErrorLibUnableToConnect,
    CassErrorServerOverloaded,
    CassException,
)

from chat4all.adapters.cassandra import CassandraInspection, CassandraSession, Contact
from chat4all.adapters.cassandra.inspecting import Node
from chat4all.adapters.cassandra.session import Row, describe
from chat4all.domain.errors import Unavailable


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


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (CassErrorLibHostResolution("no"), "CASSANDRA_HOSTS names one, two, which resolves"),
        (
            CassErrorLibNoHostsAvailable("Underlying connection error: connection refused"),
            "Cassandra at one:7, two:7 does not answer (Connection refused): wait",
        ),
        (CassErrorLibNoHostsAvailable("Connect timed out"), "not answer (no answer in time): wait"),
        (CassErrorLibRequestTimedOut("late"), "not answer (no answer in time): wait"),
        (CassErrorLibUnableToConnect("gone"), "not answer (no connection): wait"),
        (CassErrorServerOverloaded("too large a load"), "Cassandra at one:7, two:7: too large a"),
    ],
)
def test_an_error_of_the_driver_is_told_in_a_sentence(error: CassException, says: str) -> None:
    described = describe(Contact(["one", "two"], "k", 7), error)
    assert isinstance(described, Unavailable)
    assert says in str(described)
