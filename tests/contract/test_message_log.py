"""The contract of `ports.log.MessageLog`."""

import asyncio

import pytest

from chat4all.ports.log import MessageLog
from tests.contract.ports import Log
from tests.records import CHATS

pytestmark = pytest.mark.anyio


async def test_positions_grow_in_the_order_of_acknowledgement(log: MessageLog) -> None:
    found = [await log.append(CHATS[0], b"%d" % n) for n in range(20)]
    assert found == sorted(set(found))


async def test_appends_of_many_at_once_have_positions_of_their_own(log: MessageLog) -> None:
    found = await asyncio.gather(*[log.append(CHATS[n % 3], b"%d" % n) for n in range(1_200)])
    assert len(set(found)) == 1_200


async def test_one_senders_appends_keep_their_order(log: MessageLog) -> None:
    async def sender() -> None:
        found = [await log.append(CHATS[0], b"x") for _ in range(20)]
        assert found == sorted(found)

    await asyncio.gather(*[sender() for _ in range(10)])


async def test_it_answers_a_ping(log: Log) -> None:
    await log.ping()
