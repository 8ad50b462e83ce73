"""The floor of a delivery on Kafka and Cassandra: through a topic, a bare insert, through a topic.

`python -m bench.cluster_live_floor RATE MESSAGES`: an open loop of its own. Each message is
produced and consumed, inserted as a row, produced to a second topic and consumed there; its latency
is from when it was due to when it was consumed for the second time. Topics of one partition, a
record at a time; nothing is parsed, numbered, checked, committed or sent to anybody. Where, it is
told by the environment, like the product. Prints `latencies_ms` as JSON.
"""

import asyncio
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable

import uvloop
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from chat4all.adapters.cassandra.session import connect
from chat4all.processes.cluster import contact_of
from chat4all.settings import load_settings

from .cluster_floor import INSERT, rows

PADDING = b"x" * 300
"""About as long as the product's records."""

PATIENCE_SECONDS = 30.0


class Topic:
    """A topic of its own, with who produces to it and a thread that consumes from it."""

    def __init__(self, bootstrap: str, took: Callable[[bytes], object]) -> None:
        name = f"floor-{uuid.uuid4().hex}"
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(PATIENCE_SECONDS)
        self._producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0})
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": name})
        self._consumer.assign([TopicPartition(name, 0, 0)])
        self._name = name
        self._took = took
        self._ends = False
        self._thread = threading.Thread(target=self._consume, daemon=True)
        self._thread.start()

    def put(self, value: bytes) -> None:
        """Produce."""
        self._producer.produce(self._name, value)
        self._producer.poll(0)

    def close(self) -> None:
        """End the thread."""
        self._ends = True
        self._thread.join()
        self._consumer.close()

    def _consume(self) -> None:
        while not self._ends:
            message = self._consumer.poll(0.1)
            value = message and message.value()
            if value:
                self._took(value)


async def measure(rate: float, count: int) -> list[float]:
    """Return the latency of each message in ms."""
    settings = load_settings()
    place = contact_of(settings.cassandra)
    session = await connect(place)
    prepared = await session.create_prepared(INSERT.format(keyspace=place.keyspace))
    loop, all_there = asyncio.get_running_loop(), asyncio.Event()
    values = [list(row) for row in rows(count)]
    due = [0.0] * count
    latencies: list[float] = []
    inserting: set[asyncio.Task[None]] = set()

    async def insert(value: bytes) -> None:
        statement = prepared.bind()
        statement.bind_list(values[int(value.split()[0])])
        await session.execute(statement)
        second.put(value)

    def begin(value: bytes) -> None:
        task = asyncio.create_task(insert(value))
        inserting.add(task)
        task.add_done_callback(inserting.discard)

    def took(value: bytes) -> None:
        latencies.append(time.monotonic() - due[int(value.split()[0])])
        if len(latencies) == count:
            loop.call_soon_threadsafe(all_there.set)

    first = Topic(settings.kafka_bootstrap, lambda value: loop.call_soon_threadsafe(begin, value))
    second = Topic(settings.kafka_bootstrap, took)
    started = time.monotonic() + 2.0  # by then both consumers wait
    async with asyncio.timeout(PATIENCE_SECONDS + count / rate):
        for number in range(count):
            due[number] = started + number / rate
            await asyncio.sleep(max(0.0, due[number] - time.monotonic()))
            first.put(b"%d %s" % (number, PADDING))
        await all_there.wait()
    first.close()
    second.close()
    await session.close()
    return [latency * 1000 for latency in latencies]


if __name__ == "__main__":
    found = uvloop.run(measure(float(sys.argv[1]), int(sys.argv[2])))
    json.dump({"latencies_ms": found}, sys.stdout)
