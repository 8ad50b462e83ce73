"""A Cassandra node of a test's own: what it acknowledged is there after SIGKILL."""

import asyncio
import contextlib
import itertools
from pathlib import Path

import acsylla
import pytest

from engines import CassandraNode

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(180),
    # acsylla leaves the sockets with which it wakes the event loop to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
ROWS = 2_000


async def session(node: CassandraNode) -> acsylla.Session:
    cluster = acsylla.create_cluster([node.address], port=node.port, log_level="critical")
    return await cluster.create_session()


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    with CassandraNode(tmp_path) as node:
        writing = await session(node)
        for statement in (
            "CREATE KEYSPACE things WITH replication ="
            " {'class': 'SimpleStrategy', 'replication_factor': 1}",
            "CREATE TABLE things.things (id bigint PRIMARY KEY, name text)",
        ):
            await writing.execute(acsylla.create_statement(statement, timeout=30))
        insert = await writing.create_prepared("INSERT INTO things.things (id, name) VALUES (?, ?)")

        acknowledged: set[int] = set()
        numbers = itertools.count()

        async def write() -> None:
            with contextlib.suppress(acsylla.errors.CassException):
                for n in numbers:
                    bound = insert.bind()
                    bound.bind_list([n, f"thing {n}"])
                    await writing.execute(bound)
                    acknowledged.add(n)
                    if len(acknowledged) == ROWS:
                        node.kill()

        # Killed while it writes: nothing else than the commit log has the last rows.
        await asyncio.gather(*(write() for _ in range(16)))
        assert not node.answers()
        await writing.close()

        node.restart()
        reading = await session(node)
        found = await reading.execute(
            acsylla.create_statement("SELECT id, name FROM things.things", timeout=30)
        )
        names = {row["id"]: row["name"] for row in found}
        assert {n: names.get(n) for n in acknowledged} == {n: f"thing {n}" for n in acknowledged}
        await reading.close()
        node.stop()
        assert node.process() is None
