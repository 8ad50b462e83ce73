"""Router processes that come and go under load, and what they make of other producers' records."""

import json
import random
import signal
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from kafka import KafkaProducer

from chat4all.adapters.kafka import partition_of
from chat4all.domain.messages import CONTENT_MAX
from tests.cluster.chats import PEOPLE, Chats, Talk, batches, patiently
from tests.cluster.services import PARTITIONS, Service
from tests.faults.running import call, until
from tests.records import record

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(600)]

SEED = 20_260_131


def those_who_route(routers: list[Service]) -> list[Service]:
    found: list[Service] = []

    def some() -> bool:
        found[:] = [router for router in routers if batches(router)]
        return bool(found)

    patiently(some)
    return found


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.endurance)])
def test_routers_that_come_and_go_and_are_killed_under_load_lose_nothing(
    on: Chats, kills: int
) -> None:
    """Two or three at a time. Who goes has routed something; how, who and when is taken by lot."""
    print("seed", SEED)
    chance = random.Random(SEED)
    chats = list(on.chat_in_each_partition().values())
    routers = [on.router().start() for _ in range(3)]
    gone: list[int] = []
    with Talk(on, chats, SEED) as talk:
        while gone.count(signal.SIGKILL) < kills:
            leaving = chance.choice(those_who_route(routers))
            later = talk.sent + chance.randrange(1, 20)
            until(lambda n=later: talk.sent >= n)  # type: ignore[misc]
            gone.append(chance.choice([signal.SIGKILL] * 4 + [signal.SIGTERM]))
            assert leaving.stop(gone[-1]) == (0 if gone[-1] == signal.SIGTERM else -gone[-1])
            routers.remove(leaving)
            while len(routers) < chance.choice([2, 3]):
                routers.append(on.router().start())
    on.until_routed(routers[0])
    on.check(*chats)


def test_an_id_that_comes_50_times_at_once_and_much_later_is_one_message(on: Chats) -> None:
    """The mutant: a router that looks up no id (`find_ids` that finds none)."""
    router = on.router().start()
    chat, own = on.chat(), str(uuid.uuid4())
    with ThreadPoolExecutor(10) as pool:
        for sending in [pool.submit(on.send, chat, "ana", n % 2, own) for n in range(50)]:
            sending.result()
    on.until_routed(router)
    assert router.stop() == 0
    router.start()
    on.send(chat, "ana", 0, own)
    others = [str(uuid.uuid4()) for _ in range(10_000)]
    on.produce([record(chat=chat, message_id=other) for other in others], chat.encode())
    for other in others:
        on.sent[chat]["bruno"].is_accepted("x", other)
    on.send(chat, "ana", 1, own)
    on.until_routed(router)
    on.check(chat)
    assert len(on.read(chat)) == 10_001


def changed(**fields: Any) -> bytes:
    """Return a good record with some fields changed, or left out where they are None."""
    whole = json.loads(record("x")) | fields
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


POISON: list[bytes | None] = [
    None,
    b"",
    b"\xff\xfe\x00",
    record("x").replace(b'"x"', b'"\xff"'),
    b"{",
    b"null",
    b"[]",
    b"[" * 5_000,
    changed(chat_id=None),
    changed(chat_id=5),
    changed(chat_id="no UUID"),
    changed(chat_id="\ud800"),
    changed(message_id=7),
    changed(content={"a": 1}),
    changed(content="\ud800"),
    changed(content="x" * (CONTENT_MAX + 1)),
    changed(sender_id=""),
    changed(timestamp_utc="yesterday"),
    changed(type="unknown"),
    changed(v="1"),
    changed(v=0),
]


def test_what_comes_after_poison_in_any_partition_is_stored_at_once(on: Chats) -> None:
    """The mutants: a router that stops at poison, and one that tells nobody of it."""
    router = on.router().start()
    chats = on.chat_in_each_partition()
    for chat in chats.values():
        on.send(chat, "ana")
    on.until_routed(router)
    before = {letter.log_position for letter in on.letters()}
    places = {partition: on.produce(POISON, b"\xff", partition) for partition in chats}
    for chat in chats.values():
        on.send(chat, "bruno")
    until(lambda: all(len(on.read(chat)) == 2 for chat in chats.values()), 5)
    on.until_routed(router)
    on.check(*chats.values())
    letters = {x.log_position: x for x in on.letters() if x.log_position not in before}
    assert len(letters) == PARTITIONS * len(POISON)
    for partition, positions in places.items():
        for position, value in zip(positions, POISON, strict=True):
            letter = letters[position]
            assert (letter.log_position.partition, letter.key) == (partition, b"\xff")
            assert letter.value == (value or b"")
            assert letter.cause


def test_a_name_that_nobody_can_have_locks_nobody_out(on: Chats) -> None:
    """Foreign records may have U+0000 in names, and databases refuse a question about those."""
    router = on.router().start()
    chat = on.chat()
    on.send(chat, "ana")
    foreign = [record(chat=chat, sender="a\0b"), record(chat=chat, v=2, mentions=["\0"])]
    on.produce(foreign, chat.encode())
    on.until_routed(router)
    assert {message["sender_id"] for message in on.read(chat)} == {"ana", "a\0b", "bruno"}
    for gateway in on.gateways:
        url = f"{gateway.url}/v1/conversations"
        status, body = call("GET", url, token=on.tokens[PEOPLE[0]])
        assert status == 200, body
        assert chat in {one["conversation_id"] for one in body}


def test_records_of_all_producers_are_stored_once_in_one_order(on: Chats) -> None:
    """The mutant: a router that takes a record where it finds it (`partition_of` not asked)."""
    murmur2 = KafkaProducer(bootstrap_servers=on.bootstrap)
    crc32 = Producer({"bootstrap.servers": on.bootstrap})
    astray: dict[str, int] = {"kafka-python": 0, "librdkafka": 0}

    def by_kafka_python(key: bytes, value: bytes) -> None:
        murmur2.send(on.topic, value, key).add_callback(
            lambda done: landed("kafka-python", key, done.partition)
        )

    def by_librdkafka(key: bytes, value: bytes) -> None:
        def report(error: object, message: Message) -> None:
            assert error is None, error
            landed("librdkafka", key, message.partition() or 0)

        crc32.produce(on.topic, value, key, on_delivery=report)

    def landed(producer: str, key: bytes, partition: int) -> None:
        astray[producer] += partition != partition_of(key.lower(), PARTITIONS)

    producers: dict[str, Callable[[bytes, bytes], None]] = {
        "kafka-python": by_kafka_python,
        "librdkafka": by_librdkafka,
    }
    chance = random.Random(SEED)
    chats = list(on.chat_in_each_partition().values())
    letters = on.letters()
    routers = [on.router().start() for _ in range(2)]
    with Talk(on, chats, SEED) as talk:
        for n in range(800):
            chat, producer = chance.choice(chats), chance.choice(list(producers))
            written = chance.choice([chat, chat.upper()])
            # Each has an order of its own in each spelling: that of its partition.
            sender = f"{producer} {'lower' if written == chat else 'upper'}"
            own = str(uuid.UUID(int=chance.getrandbits(128), version=4))
            value = record(f"{n}", chat=written, sender=sender, message_id=own)
            for _ in range(chance.choice([1, 1, 1, 2])):
                producers[producer](written.encode(), value)
            on.sent[chat][sender].is_accepted(f"{n}", own)
        until(lambda: talk.sent >= 100, 60)
    murmur2.flush(30)
    assert crc32.flush(30) == 0
    murmur2.close()
    # Many were where they do not belong, or the rest would show nothing.
    assert all(astray.values()), astray
    on.until_routed(routers[0])
    on.check(*chats)
    for chat in chats:
        sent = sum(len(one.acknowledged) for one in on.sent[chat].values())
        assert len(on.read(chat, PEOPLE[1], 1)) == sent
    assert on.letters() == letters
