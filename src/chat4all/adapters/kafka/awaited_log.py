"""The log of a cluster: unavailable until its topic is known, and while it is another one."""

import logging
from asyncio import Future, get_running_loop
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from chat4all.adapters.kafka.clock import PROBE_SECONDS, ClockWatch
from chat4all.adapters.kafka.log import KafkaLog
from chat4all.adapters.kafka.producer import KafkaProducer
from chat4all.adapters.kafka.reachability import PUBLIC
from chat4all.adapters.kafka.topics import Topics, topic_trouble
from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.periodic import periodically
from chat4all.domain.errors import Degraded, Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Epoch, Headers
from chat4all.ports.log import Epochs

LOOK_SECONDS = 1.0
"""How often the log is looked for, and once it is known, its topic is compared."""

UNEXPECTED = "looking for the log fails unexpectedly: see the log of this process"
ANOTHER = (
    "nothing is accepted until the log is the one that the store belongs to; restore it, or name "
    "another keyspace and group"
)
NO_LOG = "the log is not made yet: run `chat4all migrate`"

_log = logging.getLogger(__name__)


class AwaitedLog:
    """A `PartitionedLog` that may not be known yet, with a producer that others may share.

    It takes records only while the topic is the one that its epoch is (EXACTNESS 8): a topic that
    is deleted and made anew acknowledges records that no router will read.

    Clocks are compared by records to `topic_events`, so that one that was set right is found to be
    so without traffic.

    `found` has the epoch once it is known. `failed` is done when the producer has failed for good:
    it acknowledges nothing any more, and its process has to end (EXACTNESS 11).
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        epochs: Epochs,
        topics: Topics | None = None,
        *,
        topic_events: str | None = None,
    ) -> None:
        self.producer = KafkaProducer(bootstrap, on_fatal=self._fail)
        self.epoch: Epoch | None = None
        self.found: Future[Epoch] = get_running_loop().create_future()
        self.failed: Future[None] = get_running_loop().create_future()
        self._epochs = epochs
        self._topics = topics or Topics(bootstrap)
        self._topic = topic
        self._topic_events = topic_events
        self._clock = ClockWatch()
        self._log: KafkaLog | None = None
        self._trouble: Unavailable | None = Unavailable("the log is not known yet")
        self._is_compared = False

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        """Append one record; see `ports.log.MessageLog`."""
        return await self._found_log().append(key, value, headers)

    def partition_of(self, conversation: ConversationId) -> int:
        """Return where a conversation's records belong; see `ports.log.PartitionedLog`."""
        return self._found_log().partition_of(conversation)

    def makes_fresh_ids(self) -> bool:
        """Say whether our clock agrees with Kafka's; see `ports.log.MessageLog`."""
        return self._clock.agrees()

    async def ping(self) -> None:
        """Return when the log can be written to."""
        if self._log is None:
            # The topic's name is a setting: trouble with Kafka is reported without Cassandra.
            with suppress(Degraded):  # it is worse that the log is not known
                await self.producer.ping(self._topic)
        await self._found_log().ping()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Look for the log and compare its topic meanwhile; then finish records in flight."""
        await self.producer.open()
        outages = OutageLog(_log, "the log is waited for", "the log is as it must be")
        try:
            async with (
                periodically("looking at the log", self._look, LOOK_SECONDS, outages),
                periodically("comparing clocks", self._compare_clocks, PROBE_SECONDS),
            ):
                yield
        finally:
            await self.producer.close()

    async def _look(self) -> None:
        """Look at the topic of the newest epoch. Raises what is wrong, for the log."""
        try:
            epoch = self.epoch or await self._find()
            about = await self._topics.find(epoch.topic)
        except Exception as error:
            # A topic that was the right one is taken for it while Kafka does not answer.
            if not self._is_compared:
                self._trouble = error if isinstance(error, Unavailable) else Unavailable(UNEXPECTED)
            raise
        self._is_compared = True
        trouble = topic_trouble(about, epoch)
        self._trouble = None if trouble is None else Unavailable(f"{trouble}: {ANOTHER}", PUBLIC)
        if self._trouble is not None:
            raise self._trouble
        if self._log is None or self._log.is_doubted:
            self._log = KafkaLog(self.producer, epoch, self._clock)
        if not self.found.done():
            self.found.set_result(epoch)
            _log.info("the log is known", extra={"topic": epoch.topic})

    async def _compare_clocks(self) -> None:
        if self._topic_events is not None and self._log is not None:
            await self._clock.probe(self.producer, self._topic_events)

    async def _find(self) -> Epoch:
        self.epoch = await self._epochs.newest()
        if self.epoch is None:
            raise Unavailable(NO_LOG)
        return self.epoch

    def _found_log(self) -> KafkaLog:
        if self._trouble is not None:
            raise Unavailable(str(self._trouble), self._trouble.public)
        if self._log is None:
            raise Unavailable(NO_LOG)
        return self._log

    def _fail(self, cause: str) -> None:
        _log.critical("the producer has failed for good", extra={"cause": cause})
        if not self.failed.done():
            self.failed.set_result(None)
