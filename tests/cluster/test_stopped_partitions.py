"""One record that cannot be routed holds up its partition at most, in every router that has it."""

import secrets

import pytest
from confluent_kafka import Message, Producer

from chat4all.domain.ids import LogPosition
from tests.cluster.chats import PEOPLE, Chats, patiently
from tests.cluster.services import PARTITIONS, Service
from tests.faults.running import call, until
from tests.records import record

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(300)]

LARGE = 1_040_236
"""Bytes of a record that a broker takes, but not once it is marked as moved."""


METRIC = "chat4all_router_partition_stopped{"


def trouble(router: Service) -> str:
    """Return what readiness says of the router's work; empty when all is well."""
    try:
        _, body = call("GET", f"{router.url}/health/ready")
    except OSError:
        return ""
    return str(body["dependencies"]["router"]["error"] or "")


def reads(on: Chats, chat: str, count: int) -> bool:
    return len(on.read(chat)) >= count


def test_a_record_that_is_too_large_to_be_moved_is_a_dead_letter(on: Chats) -> None:
    """Fails when it is sent again for ever: its router then routes nothing any more."""
    router = on.router().start()
    chats = on.chat_in_each_partition()
    value = record("x", chat=chats[0])
    # Random, so that compression on the way makes it no smaller.
    value = record("x", chat=chats[0], padding=secrets.token_hex((LARGE - len(value)) // 2))
    places: list[LogPosition] = []

    def report(error: object, message: Message) -> None:
        assert error is None, error
        places.append(LogPosition(0, message.partition() or 0, message.offset() or 0))

    producer = Producer({"bootstrap.servers": on.bootstrap, "message.max.bytes": 2_000_000})
    producer.produce(on.topic, value, chats[0].encode(), 1, on_delivery=report)
    assert producer.flush(30) == 0
    for chat in chats.values():
        on.send(chat, PEOPLE[0])
    on.until_routed(router)
    (letter,) = [letter for letter in on.letters() if letter.log_position == places[0]]
    assert letter.value == value
    assert "it is in a wrong partition, and cannot be moved" in letter.cause
    on.check(*chats.values())


def test_a_contradiction_stops_its_partition_and_the_next_router_goes_on_without_it(
    on: Chats,
) -> None:
    """Fails when a router stops, or leaves the group, because of one record."""
    first = on.router().start()
    chats = on.chat_in_each_partition()
    for chat in chats.values():
        on.send(chat, PEOPLE[0])
    on.until_routed(first)
    assert first.stop() == 0
    # A row of a record that the log does not have yet: those before it have none.
    on.cassandra.execute(
        "INSERT INTO messages (conversation_id, bucket, seq, message_id, sender_id, content, "
        f"created_at, status, log_position) VALUES ({chats[2]}, 0, 9, uuid(), 'nobody', '', "
        "0, 'SENT', (0, 2, 1000000))"
    )
    on.produce([record("from the future", chat=chats[5], v=99)], chats[5].encode())
    for chat in chats.values():
        on.send(chat, PEOPLE[1])
    others = [chats[number] for number in range(PARTITIONS) if number not in (2, 5)]
    for router in (on.router(), on.router()):
        router.start()
        patiently(lambda router=router: "2 of its" in trouble(router))  # type: ignore[misc]
        said = trouble(router)
        assert f"the router has stopped in 2 of its {PARTITIONS} partitions: partition 2: " in said
        assert "contradicts the store: it is below the head and has no row" in said
        assert "partition 5: a record of version 99 is in the log" in said
        until(lambda router=router: router.metrics().count(METRIC) == 2, 10)  # type: ignore[misc]
        counts = {chat: len(on.read(chat)) for chat in others}
        for chat in others:
            on.send(chat, PEOPLE[2])
        for chat, count in counts.items():
            until(lambda chat=chat, count=count: reads(on, chat, count + 1), 30)  # type: ignore[misc]
        assert router.stop() == 0
    on.check(*others)
