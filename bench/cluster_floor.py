"""The floor of a router on Cassandra: an INSERT for each message, and nothing else.

`python -m bench.cluster_floor alone COUNT`: one after the other, as a worker does that handles a
record at a time. `at_once`: with 128 under way. Where, it is told by the
environment, like the product.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import uvloop

from chat4all.adapters.cassandra.session import connect
from chat4all.processes.cluster import contact_of
from chat4all.settings import load_settings

from .filling import FIRST_MS, messages

CONCURRENCY = 128
INSERT = (
    "INSERT INTO {keyspace}.messages (conversation_id, bucket, seq, message_id, sender_id, "
    "content, created_at, status, log_position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
FIRST_SEQ = 1_000_001
"""Above whatever a router has stored there."""


def rows(count: int) -> Iterator[tuple[object, ...]]:
    """Return the values of the workload's messages."""
    seqs: dict[str, int] = {}
    made = datetime.fromtimestamp(FIRST_MS / 1000, UTC)
    for offset, (record, _) in enumerate(messages(count)):
        chat = record.conversation_id
        seq = seqs[chat] = seqs.get(chat, FIRST_SEQ - 1) + 1
        yield (
            uuid.UUID(chat),
            seq // 1_000,
            seq,
            uuid.UUID(record.message_id),
            record.sender_id,
            record.content,
            made,
            "DELIVERED",
            (0, 0, offset),
        )


async def insert(what: str, count: int) -> float:
    """Return the seconds that it took."""
    place = contact_of(load_settings().cassandra)
    session = await connect(place)
    prepared = await session.create_prepared(INSERT.format(keyspace=place.keyspace))
    values = [list(row) for row in rows(count)]

    async def in_turns(left: Iterator[list[object]]) -> None:
        for row in left:
            statement = prepared.bind()
            statement.bind_list(row)
            await session.execute(statement)

    await in_turns(iter(values[:1]))
    started = time.perf_counter()
    left = iter(values)
    await asyncio.gather(*(in_turns(left) for _ in range(1 if what == "alone" else CONCURRENCY)))
    seconds = time.perf_counter() - started
    await session.close()
    return seconds


def main(what: str, count: int) -> None:
    """Insert, and print what it took as JSON."""
    json.dump({"messages": count, "seconds": uvloop.run(insert(what, count))}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
