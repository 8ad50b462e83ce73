"""Gateways of a cluster answer from cached pages, and only while they hear the live feed."""

import asyncio
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chat4all.adapters.kafka import Topics, feed_settings
from tests.cluster.chats import PEOPLE, Chats
from tests.cluster.services import PARTITIONS, Service
from tests.faults.running import call, until

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240, func_only=True)]


def page(on: Chats, chat: str, gateway: Service) -> list[str]:
    """Return the ids of the newest page, oldest first."""
    url = f"{gateway.url}/v1/conversations/{chat}/messages"
    status, found = call("GET", url, token=on.tokens[PEOPLE[0]])
    assert status == 200, found
    return [message["message_id"] for message in found]


def store_reads(gateway: Service) -> int:
    """Return how many pages a gateway has read from the store."""
    with urllib.request.urlopen(f"{gateway.url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    name = 'chat4all_store_read_seconds_count{operation="page"}'
    return round(sum(float(line.split()[-1]) for line in lines if line.startswith(name)))


def is_cached(on: Chats, chat: str, gateway: Service) -> bool:
    """Say whether of two equal requests the second was answered without the store."""
    page(on, chat, gateway)
    before = store_reads(gateway)
    page(on, chat, gateway)
    return store_reads(gateway) == before


def send(on: Chats, chat: str, router: Service) -> str:
    """Send one message, and return its id once it is stored."""
    on.send(chat, PEOPLE[0])
    on.until_routed(router)
    return on.sent[chat][PEOPLE[0]].acknowledged[-1]


@contextmanager
def routed_out_of_hearing(on: Chats, chat: str, *gateways: Service) -> Iterator[str]:
    """A page is cached; then a router takes over that the gateways cannot hear, and stores more.

    Yields the id of a message that is stored and was never announced to them, once those gateways
    that behave have noticed that the feed is silent.
    """
    first = on.router().start()
    send(on, chat, first)
    for gateway in (*on.gateways, *gateways):
        until(lambda: is_cached(on, chat, gateway), 30)  # noqa: B023
    assert first.stop() == 0
    elsewhere = f"{on.topic}-elsewhere"
    asyncio.run(Topics(on.bootstrap).make(elsewhere, PARTITIONS, 1, feed_settings()))
    second = on.router(events=elsewhere).start()
    stored = send(on, chat, second)
    for gateway in on.gateways:
        until(lambda: not is_cached(on, chat, gateway), 30)  # noqa: B023
    yield stored


def test_a_page_is_cached_until_a_change_is_announced(on: Chats) -> None:
    router = on.router().start()
    chat = on.chat()
    for _ in range(3):
        sent = send(on, chat, router)
        for gateway in on.gateways:
            until(lambda: page(on, chat, gateway)[-1:] == [sent], 10)  # noqa: B023
            until(lambda: is_cached(on, chat, gateway), 30)  # noqa: B023
            assert page(on, chat, gateway)[-1] == sent
    on.check(chat)


def test_a_gateway_whose_feed_is_silent_answers_from_the_store(on: Chats) -> None:
    chat = on.chat()
    with routed_out_of_hearing(on, chat) as stored:
        for gateway in on.gateways:
            assert page(on, chat, gateway)[-1] == stored
        on.end_routers()
        # Heard again, what was cached before the silence is not taken for current.
        router = on.router().start()
        for gateway in on.gateways:
            until(lambda: is_cached(on, chat, gateway), 30)  # noqa: B023
            assert page(on, chat, gateway)[-1] == stored
        assert send(on, chat, router) != stored


def test_a_gateway_that_serves_from_a_stale_cache_is_detected(on: Chats) -> None:
    """Mutant `cached_in_silence`."""
    chat = on.chat()
    with (
        on.gateway("cached_in_silence") as wrong,
        routed_out_of_hearing(on, chat, wrong) as stored,
        pytest.raises(AssertionError),
    ):
        assert page(on, chat, wrong)[-1] == stored
