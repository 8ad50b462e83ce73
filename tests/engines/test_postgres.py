"""A PostgreSQL server of a test's own: serializable, and acknowledged commits survive SIGKILL."""

from pathlib import Path

import asyncpg
import pytest

from engines import PostgresServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines]


@pytest.mark.parametrize("synced", [True, False])
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, synced: bool) -> None:
    with PostgresServer(tmp_path, synced=synced) as server:
        writing = await asyncpg.connect(server.url())
        await writing.execute("CREATE TABLE things (id int PRIMARY KEY)")
        for n in range(50):
            await writing.execute("INSERT INTO things VALUES ($1)", n)
        server.kill()
        writing.terminate()
        server.restart()
        reading = await asyncpg.connect(server.url())
        rows = await reading.fetch("SELECT id FROM things ORDER BY id")
        assert [row["id"] for row in rows] == list(range(50))
        await reading.close()
        server.stop()
        assert server.process() is None


async def test_transactions_are_serializable_by_default(tmp_path: Path) -> None:
    with PostgresServer(tmp_path) as server:
        url = server.create_database("another")
        one, other = await asyncpg.connect(url), await asyncpg.connect(url)
        await one.execute("CREATE TABLE things (id int PRIMARY KEY)")
        first, second = one.transaction(), other.transaction()
        await first.start()
        await second.start()
        for connection, n in ((one, 1), (other, 2)):
            await connection.fetchval("SELECT count(*) FROM things")
            await connection.execute("INSERT INTO things VALUES ($1)", n)
        await first.commit()
        with pytest.raises(asyncpg.SerializationError) as refused:
            await second.commit()
        assert refused.value.sqlstate == "40001"
        await one.close()
        await other.close()


async def test_a_pause_holds_the_backends_too(tmp_path: Path) -> None:
    with PostgresServer(tmp_path) as server:
        connection = await asyncpg.connect(server.url())
        server.pause()
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT 1", timeout=0.3)
        server.resume()
        server.wait_ready()
        connection.terminate()
