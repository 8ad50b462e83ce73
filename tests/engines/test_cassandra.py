"""A Cassandra node of a test's own: what it acknowledged is there after SIGKILL."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cassandra import DriverException, OperationTimedOut
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import WhiteListRoundRobinPolicy

from engines import CassandraNode

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(180)]
ROWS = 2_000


def cluster(node: CassandraNode) -> Cluster:
    profile = ExecutionProfile(WhiteListRoundRobinPolicy([node.address]), request_timeout=30)
    return Cluster(
        [node.address],
        port=node.port,
        protocol_version=5,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
    )


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    with CassandraNode(tmp_path) as node:
        with cluster(node) as writing:
            session = writing.connect()
            session.execute(
                "CREATE KEYSPACE things WITH replication ="
                " {'class': 'SimpleStrategy', 'replication_factor': 1}"
            )
            session.execute("CREATE TABLE things.things (id bigint PRIMARY KEY, name text)")
            insert = session.prepare("INSERT INTO things.things (id, name) VALUES (?, ?)")
            acknowledged: set[int] = set()
            numbers = itertools.count()

            def write(_: int) -> None:
                for n in numbers:
                    try:
                        session.execute(insert, (n, f"thing {n}"), timeout=5)
                    except (NoHostAvailable, OperationTimedOut, DriverException):
                        return
                    acknowledged.add(n)
                    if len(acknowledged) == ROWS:
                        node.kill()

            # Killed while it writes: nothing else than the commit log has the last rows.
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(write, range(8)))
            assert len(acknowledged) >= ROWS
            assert not node.answers()

        node.restart()
        with cluster(node) as reading:
            rows = reading.connect().execute("SELECT id, name FROM things.things")
            names = {row.id: row.name for row in rows}
        assert {n: names.get(n) for n in acknowledged} == {n: f"thing {n}" for n in acknowledged}
        node.stop()
        assert node.process() is None
