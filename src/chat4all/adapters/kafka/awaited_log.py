"""The log of a cluster, unavailable until its topic is known."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chat4all.adapters.kafka.log import KafkaLog
from chat4all.adapters.kafka.producer import KafkaProducer
from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Epoch, Headers
from chat4all.ports.log import Epochs

RETRY_SECONDS = 1.0
"""The longest wait before the next look for it."""

UNEXPECTED = "looking for the log fails unexpectedly: see the log of this process"
NO_LOG = "the log is not made yet: run `chat4all migrate`"

_log = logging.getLogger(__name__)


class AwaitedLog:
    """A `PartitionedLog` that may not be known yet, with a producer that others may share.

    `failed` is done when the producer has failed for good: it acknowledges nothing any more, and
    its process has to end (EXACTNESS 11).
    """

    def __init__(self, bootstrap: str, topic: str, epochs: Epochs) -> None:
        self.producer = KafkaProducer(bootstrap, on_fatal=self._fail)
        self.epoch: Epoch | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._epochs = epochs
        self._topic = topic
        self._log: KafkaLog | None = None
        self._trouble = Unavailable("the log is not known yet")

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        """Append one record; see `ports.log.MessageLog`."""
        return await self._found_log().append(key, value, headers)

    def partition_of(self, conversation: ConversationId) -> int:
        """Return where a conversation's records belong; see `ports.log.PartitionedLog`."""
        return self._found_log().partition_of(conversation)

    async def ping(self) -> None:
        """Return when the log can be written to."""
        if self._log is None:
            # The topic's name is a setting: trouble with Kafka is reported without Cassandra.
            await self.producer.ping(self._topic)
        await self._found_log().ping()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Look for the log in the background; at the end, finish records in flight."""
        await self.producer.open()
        self.found = asyncio.create_task(self._find(), name="finding the log")
        try:
            yield
        finally:
            self.found.cancel()
            await asyncio.wait({self.found})
            await self.producer.close()

    async def _find(self) -> Epoch:
        outages = OutageLog(_log, "the log is waited for")

        def note(error: Exception) -> None:
            self._trouble = error if isinstance(error, Unavailable) else Unavailable(UNEXPECTED)
            outages.failed(error)

        # Looking changes nothing, so any failure can be retried; nothing works without the log.
        epoch = await retry(
            self._look,
            Backoff(RETRY_SECONDS, RETRY_SECONDS),
            is_temporary=lambda _: True,
            on_failure=note,
        )
        self.epoch, self._log = epoch, KafkaLog(self.producer, epoch)
        _log.info("the log is known", extra={"topic": epoch.topic})
        return epoch

    async def _look(self) -> Epoch:
        epoch = await self._epochs.newest()
        if epoch is None:
            raise Unavailable(NO_LOG)
        return epoch

    def _found_log(self) -> KafkaLog:
        if self._log is None:
            raise Unavailable(str(self._trouble), self._trouble.public)
        return self._log

    def _fail(self, cause: str) -> None:
        _log.critical("the producer has failed for good", extra={"cause": cause})
        if not self.failed.done():
            self.failed.set_result(None)
