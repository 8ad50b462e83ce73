"""Cassandra's drivers for Python beside each other: what decision 12 rests on.

`python bench/cluster_drivers.py HOST PORT [acsylla]`, in a virtual environment with one of
`cassandra-driver`, `scylla-driver` or `acsylla`, and nothing else of Chat4All. Inserts of 100-byte
messages, prepared, at LOCAL_QUORUM, TCP_NODELAY on, 128 requests under way: one row each, and unlogged
batches of 30 rows of one partition. Prints rows and processor seconds of this process, of the best
of three rounds.
"""

import asyncio
import socket
import sys
import time
import uuid
from collections.abc import Callable

KEYSPACE = "drivers"
MAKE = (
    f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = "
    "{'class': 'SimpleStrategy', 'replication_factor': 1}",
    f"CREATE TABLE IF NOT EXISTS {KEYSPACE}.messages (chat uuid, bucket int, seq bigint, "
    "id uuid, sender text, content text, PRIMARY KEY ((chat, bucket), seq))",
)
INSERT = (
    f"INSERT INTO {KEYSPACE}.messages (chat, bucket, seq, id, sender, content) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
CHATS = [uuid.UUID(int=n + 1) for n in range(200)]
UNDER_WAY = 128
ROWS = 12_000
BATCH = 30
ROUNDS = 3


def rows(chat: uuid.UUID, count: int) -> list[tuple[object, ...]]:
    return [(chat, 0, seq, uuid.uuid4(), "somebody", "x" * 100) for seq in range(count)]


def timed(what: str, work: Callable[[], None]) -> None:
    best: tuple[float, float] | None = None
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        took = (time.perf_counter() - wall, time.process_time() - cpu)
        best = min(best or took, took)
    assert best is not None
    print(f"{what}: {ROWS / best[0]:,.0f} rows/s, {best[1] / ROWS * 1e6:.0f} us of processor a row")


def datastax(host: str, port: int) -> None:
    """Measure whichever `cassandra` package is installed."""
    from cassandra import ConsistencyLevel
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
    from cassandra.concurrent import execute_concurrent
    from cassandra.query import BatchStatement, BatchType

    profile = ExecutionProfile(consistency_level=ConsistencyLevel.LOCAL_QUORUM)
    cluster = Cluster(
        [host],
        port=port,
        protocol_version=4,
        compression=False,
        sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
    )
    session = cluster.connect()
    for statement in MAKE:
        session.execute(statement)
    insert = session.prepare(INSERT)

    def batch(chat: uuid.UUID) -> BatchStatement:
        found = BatchStatement(BatchType.UNLOGGED)
        for row in rows(chat, BATCH):
            found.add(insert, row)
        return found

    def single() -> None:
        made = [(insert, row) for chat in CHATS for row in rows(chat, ROWS // len(CHATS))]
        execute_concurrent(session, made, concurrency=UNDER_WAY)

    def batches() -> None:
        made = ((batch(CHATS[n % len(CHATS)]), None) for n in range(ROWS // BATCH))
        execute_concurrent(session, made, concurrency=UNDER_WAY)

    timed("one row a request", single)
    timed(f"{BATCH} rows a request", batches)
    cluster.shutdown()


async def acsylla(host: str, port: int) -> None:
    """Measure the C++ driver's binding."""
    import acsylla as driver

    cluster = driver.create_cluster([host], port=port, protocol_version=4, tcp_nodelay=True)
    session = await cluster.create_session()
    for statement in MAKE:
        await session.execute(driver.create_statement(statement))
    insert = await session.create_prepared(INSERT)

    def bound(row: tuple[object, ...]) -> object:
        statement = insert.bind()
        statement.bind_list(list(row))
        return statement

    async def in_flight(make: list[Callable[[], object]]) -> None:
        left = iter(make)

        async def some(run: Callable[[object], object]) -> None:
            for one in left:
                await run(one())  # type: ignore[misc]

        run = session.execute_batch if len(make) < ROWS else session.execute
        await asyncio.gather(*(some(run) for _ in range(UNDER_WAY)))

    def batch(chat: uuid.UUID) -> object:
        found = driver.create_batch_unlogged()
        for row in rows(chat, BATCH):
            found.add_statement(bound(row))
        return found

    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for what in ("one row a request", f"{BATCH} rows a request"):
            wall, cpu = time.perf_counter(), time.process_time()
            if what.startswith("one"):
                made = [row for chat in CHATS for row in rows(chat, ROWS // len(CHATS))]
                await in_flight([lambda row=row: bound(row) for row in made])  # type: ignore[misc]
            else:
                numbers = range(ROWS // BATCH)
                await in_flight([lambda n=n: batch(CHATS[n % len(CHATS)]) for n in numbers])  # type: ignore[misc]
            took = (time.perf_counter() - wall, time.process_time() - cpu)
            best[what] = min(best.get(what, took), took)
    for what, (wall, cpu) in best.items():
        print(f"{what}: {ROWS / wall:,.0f} rows/s, {cpu / ROWS * 1e6:.0f} us of processor a row")
    await session.close()


if __name__ == "__main__":
    if "acsylla" in sys.argv[3:]:
        asyncio.run(acsylla(sys.argv[1], int(sys.argv[2])))
    else:
        datastax(sys.argv[1], int(sys.argv[2]))
