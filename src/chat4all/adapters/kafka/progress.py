"""How far the routers of a cluster have come."""

import asyncio
from collections import defaultdict
from collections.abc import Collection

from chat4all.adapters.kafka.awaited_log import NO_LOG, AwaitedLog
from chat4all.adapters.kafka.topics import Topics
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId

WAIT_SECONDS = 10.0
LOOK_SECONDS = 0.5


class KafkaProgress:
    """The port `ports.progress.LogProgress`: compares the group's offsets with the log's ends.

    A router commits an offset once all before it is stored (EXACTNESS 7).
    """

    def __init__(
        self,
        topics: Topics,
        group: str,
        log: AwaitedLog,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._topics = topics
        self._group = group
        self._log = log
        self._wait_seconds = wait_seconds

    async def passed(self, conversations: Collection[ConversationId]) -> Collection[ConversationId]:
        """Return those whose partitions are stored; see `ports.progress.LogProgress`."""
        try:
            async with asyncio.timeout(self._wait_seconds):  # a process that starts has no log yet
                epoch = await asyncio.shield(self._log.found)
        except TimeoutError:
            raise Unavailable(NO_LOG) from None
        of_partition = defaultdict[int, list[ConversationId]](list)
        for conversation in conversations:
            of_partition[self._log.partition_of(conversation)].append(conversation)
        bounds = await self._topics.ends(epoch.topic, sorted(of_partition))
        behind = {partition: end for partition, (_, end) in bounds.items()}
        passed: list[ConversationId] = []
        try:
            async with asyncio.timeout(self._wait_seconds):
                while behind:
                    wanted = sorted(behind)
                    offsets = await self._topics.committed(epoch.topic, wanted, self._group)
                    for partition, offset in offsets.items():
                        if offset >= behind[partition]:
                            passed += of_partition[partition]
                            del behind[partition]
                    if behind:
                        await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            pass
        return passed
