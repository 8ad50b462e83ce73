"""The contract of `ports.feed`."""

import asyncio

import pytest

from chat4all.domain.errors import Overloaded
from chat4all.domain.events import LiveEvent, MessageStored
from tests.feeds import Followed
from tests.messages import message

pytestmark = pytest.mark.anyio


def event(seq: int) -> LiveEvent:
    return MessageStored(message(seq))


async def test_every_subscriber_gets_all_that_follows_in_order(feed: Followed) -> None:
    await feed.announce([event(1)])
    async with feed.follow() as one, feed.follow() as two:
        await feed.announce([event(2), event(3)])
        await feed.announce([event(4)])
        for subscription in (one, two):
            assert list(await subscription.next()) == [event(2), event(3), event(4)]
        waiting = asyncio.ensure_future(one.next())
        await feed.announce([event(5)])
        assert list(await waiting) == [event(5)]
    await feed.announce([event(6)])


async def test_a_slow_subscriber_is_told_so_and_nobody_waits_for_it(feed: Followed) -> None:
    async with feed.follow() as slow, feed.follow() as quick:
        for seq in range(1, 31):
            await feed.announce([event(seq)])
            assert list(await quick.next()) == [event(seq)]
        kept = list(await slow.next())
        assert kept == [event(seq) for seq in range(1, len(kept) + 1)]
        assert len(kept) < 30
        for _ in range(2):
            with pytest.raises(Overloaded):
                await slow.next()
