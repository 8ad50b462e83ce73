"""A Cassandra node of a test's own: acknowledged writes survive SIGKILL."""

import asyncio
import itertools
from pathlib import Path

import pytest

from chat4all.adapters.cassandra import CassandraSession, Contact, migrate
from chat4all.domain.errors import Unavailable
from engines import CassandraNode

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(180)]
ROWS = 2_000


WRITE = (
    "INSERT INTO read_markers (conversation_id, username, read_seq) "
    "VALUES (00000000-0000-0000-0000-000000000000, ?, ?)"
)
READ = "SELECT username, read_seq FROM read_markers"


@pytest.mark.endurance
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    with CassandraNode(tmp_path) as node:
        contact = Contact([node.address], "things", node.port)
        await migrate(contact)
        writing = CassandraSession(contact)
        acknowledged: set[int] = set()
        numbers = itertools.count()

        async def write() -> None:
            for n in numbers:
                try:
                    await writing.run(WRITE, (f"thing {n}", n))
                except Unavailable:
                    return
                acknowledged.add(n)
                if len(acknowledged) == ROWS:
                    node.kill()

        # Killed while it writes: nothing else than the commit log has the last rows.
        await asyncio.gather(*(write() for _ in range(8)))
        await writing.close()
        assert len(acknowledged) >= ROWS
        assert not node.answers()

        await asyncio.to_thread(node.restart)
        reading = CassandraSession(contact)
        found = {number: name for name, number in await reading.run(READ)}
        await reading.close()
        assert {n: found.get(n) for n in acknowledged} == {n: f"thing {n}" for n in acknowledged}
        node.stop()
        assert node.process() is None
