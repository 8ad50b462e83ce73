"""The log, once it is known which topic it is. Until then it is unavailable."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chat4all.adapters.kafka.log import KafkaLog
from chat4all.adapters.kafka.producer import KafkaProducer
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Epoch, Headers
from chat4all.ports.log import Epochs

RETRY_SECONDS = 1.0
"""How often it is asked for again, about."""

NO_LOG = "the log is not made yet: run `chat4all migrate`"

_log = logging.getLogger(__name__)


class AwaitedLog:
    """A `PartitionedLog` that may have to be waited for, with a producer that others may share.

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
        return await self._known().append(key, value, headers)

    def partition_of(self, conversation: ConversationId) -> int:
        """Return where a conversation's records belong; see `ports.log.PartitionedLog`."""
        return self._known().partition_of(conversation)

    async def ping(self) -> None:
        """Return when the log can be written to."""
        if self._log is None:
            # Its name is a setting: what is wrong with Kafka need not wait for Cassandra.
            await self.producer.ping(self._topic)
        await self._known().ping()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Find out in the background; what waits for the log is finished at the end."""
        await self.producer.open()
        self.found = asyncio.create_task(self._find(), name="finding the log")
        try:
            yield
        finally:
            self.found.cancel()
            await asyncio.wait({self.found})
            await self.producer.close()

    async def _find(self) -> Epoch:
        while True:
            try:
                epoch = await self._epochs.newest()
            except Unavailable as error:
                self._wait_because(error)
            except Exception:
                # Looking changes nothing, so it can be done again; without it nothing works.
                unexpected = "looking for the log fails unexpectedly: see the log of this process"
                if str(self._trouble) != unexpected:
                    _log.exception("looking for the log fails and is tried again")
                self._wait_because(Unavailable(unexpected))
            else:
                if epoch is not None:
                    self.epoch, self._log = epoch, KafkaLog(self.producer, epoch)
                    _log.info("the log is known", extra={"topic": epoch.topic})
                    return epoch
                self._wait_because(Unavailable(NO_LOG))
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1))  # noqa: S311 - jitter

    def _wait_because(self, trouble: Unavailable) -> None:
        if str(trouble) != str(self._trouble):
            _log.warning("the log is waited for", extra={"cause": str(trouble)})
        self._trouble = trouble

    def _known(self) -> KafkaLog:
        if self._log is None:
            raise Unavailable(str(self._trouble), self._trouble.public)
        return self._log

    def _fail(self, cause: str) -> None:
        _log.critical("the producer has failed for good", extra={"cause": cause})
        if not self.failed.done():
            self.failed.set_result(None)
