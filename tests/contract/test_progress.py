"""The contract of `ports.progress.LogProgress`: nothing counts as stored before it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.embedded import (
    EmbeddedConsumer,
    EmbeddedLog,
    EmbeddedProgress,
    EmbeddedStore,
)
from chat4all.adapters.kafka import KafkaProgress, Topics, partition_of
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Epoch
from chat4all.ports.log import LogConsumer, MessageLog
from chat4all.ports.progress import LogProgress
from chat4all.ports.store import StoreBatch
from tests.cluster.kafka import a_log
from tests.contract.conftest import KAFKA
from tests.contract.test_log_consumer import last, take
from tests.records import CHATS

pytestmark = pytest.mark.anyio

ALL = set(CHATS)


@dataclass
class Routed:
    """A log, and consumers of it as a router's: what one has stored it commits."""

    log: MessageLog
    consumer: Callable[[], AbstractAsyncContextManager[LogConsumer]]
    progress: LogProgress
    store: EmbeddedStore | None = None

    async def route(self, count: int) -> None:
        """Store so many records."""
        async with self.consumer() as consumer:
            positions: list[LogPosition] = last(await take(consumer, count))
            if self.store is not None:
                await self.store.write(StoreBatch(positions))
            await consumer.commit(positions)

    async def passed(self) -> set[ConversationId]:
        return set(await self.progress.passed(ALL))


class Known:
    """What is known of the log; of the partitions of a conversation only while it is the log."""

    def __init__(self, epoch: Epoch | None, *, is_another: bool = False) -> None:
        self.found: asyncio.Future[Epoch] = asyncio.get_running_loop().create_future()
        self.is_another = is_another
        if epoch is not None:
            self.found.set_result(epoch)

    def partition_of(self, conversation: ConversationId) -> int:
        if self.is_another:
            raise Unavailable("the topic is another one")
        return partition_of(conversation.encode(), self.found.result().partitions)


@pytest.fixture(params=["embedded", KAFKA])
async def routed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Routed]:
    if request.param == "kafka":
        async with a_log(request.getfixturevalue("kafka")) as on:
            known: Any = Known(on.epoch)
            topics = Topics(on.broker.address)
            progress = KafkaProgress(topics, on.epoch.topic, known, wait_seconds=2)
            yield Routed(on.log, on.consumer, progress)
        return
    log, store = EmbeddedLog(tmp_path / "log.db"), EmbeddedStore(tmp_path / "store.db")
    await log.open()
    await store.open()

    @asynccontextmanager
    async def consumer() -> AsyncIterator[LogConsumer]:
        yield EmbeddedConsumer(log, store, wait_seconds=0.2)

    yield Routed(log, consumer, EmbeddedProgress(log, store, wait_seconds=0.05), store)
    await log.close()
    await store.close()


async def test_what_is_in_the_log_is_passed_once_it_is_stored(routed: Routed) -> None:
    assert await routed.passed() == ALL  # there is nothing in it
    for chat in CHATS:
        await routed.log.append(chat, b"x")
    assert await routed.passed() == set()
    await routed.route(len(CHATS))
    assert await routed.passed() == ALL
    await routed.log.append(CHATS[0], b"y")
    assert CHATS[0] not in await routed.passed()
    await routed.route(1)
    assert await routed.passed() == ALL


class Ends(Topics):
    """A log whose partitions end at 5, of which a group has read so much."""

    def __init__(self, committed: dict[int, int]) -> None:
        self._offsets = committed

    async def ends(self, topic: str, partitions: Any, seconds: float = 0) -> Any:
        return {number: (0, 5) for number in partitions if number != 3}

    async def committed(self, topic: str, partitions: Any, group: str, seconds: float = 0) -> Any:
        return {number: self._offsets[number] for number in partitions}


async def test_each_partition_counts_by_itself() -> None:
    epoch = Epoch(0, "chat_messages", "an id", 4)
    known = Known(epoch)
    chats = {known.partition_of(ConversationId(f"chat {n}")): f"chat {n}" for n in range(40)}
    assert set(chats) == {0, 1, 2, 3}
    log: Any = known
    ends = Ends({0: 5, 1: 4, 2: -1001, 3: 5})  # one is behind, one has no offset, one no leader
    progress = KafkaProgress(ends, "routers", log, wait_seconds=0.01)
    wanted = [ConversationId(chat) for chat in chats.values()]
    assert [*await progress.passed(wanted)] == [chats[0]]
    for trouble in (Known(epoch, is_another=True), Known(None)):
        log = trouble
        with pytest.raises(Unavailable):
            await KafkaProgress(ends, "routers", log, wait_seconds=0.01).passed(wanted)
