"""One id, posted many times at once through two gateways, is one message: for ever."""

import asyncio
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chat4all.adapters.kafka import KafkaLog
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.records import Epoch, MessageRecord
from chat4all.domain.times import now_utc
from chat4all.wire.records import encode_record
from tests.cluster.kafka import a_producer
from tests.cluster.services import all_ready
from tests.cluster.site import PARTITIONS, Site, new_names
from tests.cluster.test_services import People
from tests.faults.running import call, until

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240, func_only=True)]

TIMES = 50
OTHERS = 10_000


def post_at_once(people: People, name: str, message_id: str) -> None:
    """Post one message many times at once, through every gateway: all are told the same."""
    body = {"chat_id": people.chat, "content": f"of {name}", "message_id": message_id}
    together = threading.Barrier(TIMES)

    def post(number: int) -> tuple[int, Any]:
        gateway = people.gateways[number % len(people.gateways)]
        together.wait(30)
        return call("POST", f"{gateway.url}/v1/messages", body, people.tokens[name])

    with ThreadPoolExecutor(TIMES) as pool:
        answers = list(pool.map(post, range(TIMES)))
    assert answers == [(202, {"status": "accepted", "message_id": message_id})] * TIMES


def fill(site: Site, people: People, sender: str) -> None:
    """Append others' messages to the log, as a gateway does."""
    chat = ConversationId(people.chat)

    async def append() -> None:
        async with a_producer(site.kafka, queue_max=OTHERS + 1) as producer:
            log = KafkaLog(producer, Epoch(0, site.cluster.topic, "", PARTITIONS))
            records = (
                MessageRecord(
                    conversation_id=chat,
                    message_id=MessageId(str(uuid.uuid4())),
                    sender_id=Username(sender),
                    content="another",
                    created_at=now_utc(),
                )
                for _ in range(OTHERS)
            )
            await asyncio.gather(*(log.append(chat, encode_record(one)) for one in records))

    asyncio.run(append())


def with_id(history: Sequence[dict[str, Any]], message_id: str) -> list[tuple[int, str, str]]:
    return [
        (message["seq"], message["sender_id"], message["content"])
        for message in history
        if message["message_id"] == message_id
    ]


def test_the_same_id_is_one_message_for_ever(site: Site) -> None:
    """Mutants: a router that knows the ids of its own batches only, or for a while; one that knows
    an id without its sender."""
    one, other = new_names(2)
    people = People(site.gateways, [one, other])
    message_id = str(uuid.uuid4())
    post_at_once(people, one, message_id)

    for service in (*site.gateways, site.router):
        service.stop()
        service.start()
    all_ready(site.services)
    post_at_once(people, one, message_id)

    fill(site, people, other)
    post_at_once(people, one, message_id)
    # An id is its sender's: it hides nothing of anybody else's.
    post_at_once(people, other, message_id)
    until(lambda: site.lag() == 0, seconds=60)

    histories = [people.history(one, gateway) for gateway in site.gateways]
    assert histories[0] == histories[1]
    assert [message["seq"] for message in histories[0]] == list(range(1, OTHERS + 3))
    assert with_id(histories[0], message_id) == [
        (1, one, f"of {one}"),
        (OTHERS + 2, other, f"of {other}"),
    ]
    for name in people.tokens:
        path = f"/v1/conversations/{people.chat}/messages/{message_id}"
        _, message = call("GET", people.gateways[0].url + path, token=people.tokens[name])
        assert message["sender_id"] == name
