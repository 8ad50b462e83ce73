"""The floor of a router on Cassandra: an INSERT for each message, and nothing else.

`python -m bench.cluster_floor alone COUNT`: one after the other, as a worker does that handles a
record at a time. `at_once`: with 128 under way, by the driver's own means. Where, it is told by the
environment, like the product.
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from cassandra.concurrent import execute_concurrent_with_args

from chat4all.adapters.cassandra.session import connect
from chat4all.settings import load_settings

from .cluster_place import contact
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


def main(what: str, count: int) -> None:
    """Insert, and print what it took as JSON."""
    place = contact(load_settings())
    _, session = connect(place)
    statement = session.prepare(INSERT.format(keyspace=place.keyspace))
    values = list(rows(count))
    session.execute(statement, values[0])
    started = time.perf_counter()
    if what == "alone":
        for row in values:
            session.execute(statement, row)
    else:
        execute_concurrent_with_args(
            session, statement, values, concurrency=CONCURRENCY, raise_on_first_error=True
        )
    json.dump({"messages": count, "seconds": time.perf_counter() - started}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
