"""A gateway's texts about its live feed are documented."""

import asyncio
import socket

import pytest

from chat4all.adapters.kafka import KafkaFeed, feed
from chat4all.domain.errors import Degraded
from tests.docs.troubles import assert_documented

pytestmark = pytest.mark.anyio


async def trouble(reading: KafkaFeed) -> str:
    with pytest.raises(Degraded) as degraded:
        await reading.ping()
    return str(degraded.value)


async def test_a_feed_that_is_not_read_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "ASK_SECONDS", 0.1)
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        reading = KafkaFeed(f"127.0.0.1:{nobody.getsockname()[1]}", "chat_events")
        first = await trouble(reading)
        assert first == "the live feed is not read yet"
        assert_documented(first)
        await reading.open()
        try:
            async with asyncio.timeout(20):
                while (later := await trouble(reading)) == first:
                    await asyncio.sleep(0.05)
        finally:
            await reading.close()
        assert later.startswith("the live feed is not read: ")
        assert_documented(later)
