"""Messages a second that one router stores, as a ratio to one insert for each message.

The router is the product's, on a topic that holds all its records already: from its first record to
its last commit, in a process of its own. The other side puts the same messages, and nothing but the
messages (no ids, markers, heads, announcements or offsets), into an empty table of the same schema
with the same driver: each with a statement of its own, first one after the other, as a worker does
that handles a record at a time, then with 128 under way at once (`cluster_floor.py`).
"""

import asyncio
import gc
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import uvloop

from chat4all.adapters.cassandra import (
    CassandraDeadLetters,
    CassandraEpochs,
    CassandraSession,
    CassandraStore,
)
from chat4all.adapters.kafka import KafkaAnnouncements, KafkaConsumer, KafkaLog, KafkaProducer
from chat4all.domain.ids import LogPosition, MessageId
from chat4all.domain.records import Epoch, MessageRecord
from chat4all.ports.log import Poll
from chat4all.processes.cluster import contact_of
from chat4all.router.loop import POLL_MAX_IN_A_CLUSTER, Router
from chat4all.settings import Settings, load_settings
from chat4all.usecases.sending import new_message_id
from chat4all.wire.records import encode_record

from .cluster_floor import CONCURRENCY
from .cluster_place import Place, new_name
from .figures import Figure
from .filling import messages
from .quiet import Rounds, Say, quiet_rounds
from .running import BenchmarkFailed, call, module

MESSAGES = 20_000
ALONE = 4_000
"""Messages that are inserted one after the other: the rate does not depend on how many."""

APPENDED_AT_ONCE = 1_000


def measure(place: Place, rounds: int, say: Say, *, count: int = MESSAGES) -> Rounds:
    """Run."""

    def one_round() -> Mapping[str, Any]:
        name = new_name()
        place.migrate(name)
        settings = place.settings(name)
        call(module("cluster_router", "fill", str(count)), settings=settings)
        found = {
            "route": call(module("cluster_router", "route", str(count)), settings=settings),
            "alone": call(module("cluster_floor", "alone", str(ALONE)), settings=settings),
            "at_once": call(module("cluster_floor", "at_once", str(count)), settings=settings),
        }
        if found["route"]["messages"] != count:
            raise BenchmarkFailed(f"the router stored {found['route']['messages']} of {count}")
        rates = {what: one["messages"] / one["seconds"] for what, one in found.items()}
        say(
            f"router {rates['route']:,.0f} messages/s, an insert a message "
            f"{rates['alone']:,.0f}/s one after the other "
            f"({rates['route'] / rates['alone']:.1f} x), {rates['at_once']:,.0f}/s with "
            f"{CONCURRENCY} under way ({rates['route'] / rates['at_once']:.1f} x)"
        )
        return {"rates": rates, "messages": count}

    return quiet_rounds(one_round, rounds, say)


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bars."""
    rates = rounds.medians["rates"]
    kinds = (
        ("alone", "Router, to an insert a message, one after the other", 4.0),
        ("at_once", f"Router, to an insert a message, {CONCURRENCY} under way", 1.0),
    )
    return [
        Figure(
            f"router_to_{kind}",
            title,
            rates["route"] / rates[kind],
            bar,
            True,
            ours=rates["route"],
            theirs=rates[kind],
            of="messages/s",
        )
        for kind, title, bar in kinds
    ]


class Stopwatch:
    """A consumer that notes its first record and ends the router with the last one's commit."""

    def __init__(self, consumer: KafkaConsumer, count: int) -> None:
        self._consumer = consumer
        self.stop = consumer.stop
        self._left = count
        self._taken = 0
        self.router: Router | None = None
        self.started = self.seconds = 0.0

    async def poll(self, limit: int) -> Poll:
        """Pass on; see `ports.LogConsumer`."""
        poll = await self._consumer.poll(limit)
        self._taken = len(poll.records)
        if poll.records:
            self.started = self.started or time.perf_counter()
        return poll

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Pass on, and stop after the last one."""
        await self._consumer.commit(through)
        self._left -= self._taken
        if self._left <= 0:
            self.seconds = time.perf_counter() - self.started
            assert self.router is not None
            self.router.stop()


class Parts:
    """What a router process is made of."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.session = CassandraSession(contact_of(settings.cassandra))
        self.producer = KafkaProducer(settings.kafka_bootstrap)

    async def epoch(self) -> Epoch:
        """Return what `migrate` has made."""
        epoch = await CassandraEpochs(self.session).newest()
        assert epoch is not None
        return epoch


async def fill(parts: Parts, count: int) -> dict[str, float]:
    """Append the workload's messages, the gateway's ids made just before."""
    log = KafkaLog(parts.producer, await parts.epoch())
    waiting: list[Awaitable[LogPosition]] = []
    for record, _ in messages(count):
        waiting.append(log.append(record.conversation_id, encode_record(_now(record))))
        if len(waiting) == APPENDED_AT_ONCE:
            await asyncio.gather(*waiting)
            waiting.clear()
    await asyncio.gather(*waiting)
    return {"messages": count, "seconds": 0.0}


async def route(parts: Parts, count: int) -> dict[str, float]:
    """Route a whole topic into an empty keyspace."""
    settings, epoch = parts.settings, await parts.epoch()
    consumer = KafkaConsumer(settings.kafka_bootstrap, epoch, settings.kafka_group)
    watch = Stopwatch(consumer, count)
    store = CassandraStore(parts.session)
    watch.router = Router(
        watch,
        store,
        CassandraDeadLetters(parts.session),
        KafkaAnnouncements(parts.producer, settings.kafka_topic_events),
        KafkaLog(parts.producer, epoch),
        poll_max=POLL_MAX_IN_A_CLUSTER,
    )
    await consumer.open()
    try:
        await watch.router.run()
        await watch.router.ping()
    finally:
        await consumer.close()
    chats = {record.conversation_id for record, _ in messages(count)}
    heads = await store.heads(list(chats))
    return {"messages": sum(head.seq for head in heads.values()), "seconds": watch.seconds}


def _now(record: MessageRecord) -> MessageRecord:
    """Give a message an id of now: the gateway's where it made one, else one of a client's."""
    made = new_message_id() if record.fresh else str(uuid.uuid4())
    return record._replace(message_id=MessageId(made))


async def _run(what: str, count: int) -> dict[str, float]:
    parts = Parts(load_settings())
    await parts.producer.open()
    try:
        return await (fill if what == "fill" else route)(parts, count)
    finally:
        await parts.producer.close()
        await parts.session.close()


def main(what: str, count: int) -> None:
    """Run one side, and print what it took as JSON."""
    # As in the product once it has started.
    gc.collect()
    gc.freeze()
    json.dump(uvloop.run(_run(what, count)), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
