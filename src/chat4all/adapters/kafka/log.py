"""The message log on Kafka, the gateway's side."""

import time

from chat4all.adapters.kafka.partitions import partition_of
from chat4all.adapters.kafka.producer import Delivered, KafkaProducer
from chat4all.adapters.kafka.reachability import PUBLIC
from chat4all.domain.errors import OutcomeUnknown, Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Epoch, Headers

CLOCK_AHEAD_MAX_MS = 500
"""How far this machine's clock may be ahead of the broker's. An id that is not looked up was
stamped at most 1 s after it was made, and a retry comes at least 2 s after it was made (EXACTNESS
6): the clocks may differ by half of the second between them."""

WENT_BACK = "Kafka's offsets went back: the log's topic may have been remade, and is compared again"


class KafkaLog:
    """Appends to the topic of one epoch through a producer that others may share.

    `is_doubted` once Kafka has acknowledged a record below an earlier one: then this is not the
    topic that it was, or has lost records, and nothing more is appended.
    """

    def __init__(self, producer: KafkaProducer, epoch: Epoch) -> None:
        self._producer = producer
        self._epoch = epoch
        self._clock_ahead_ms = 0
        self._ends: dict[int, int] = {}
        """By partition, the offset after the last record that was acknowledged here."""
        self.is_doubted = False

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        """Append one record; see `ports.log.MessageLog`."""
        if self.is_doubted:
            raise Unavailable(WENT_BACK, PUBLIC)
        begun = time.time_ns() // 1_000_000
        delivered = await self._producer.send(self._epoch.topic, key.encode(), value, headers)
        self._watch_the_clock(begun, delivered)
        partition, offset = delivered.partition, delivered.offset
        if offset >= 0:
            if offset < self._ends.get(partition, 0):
                self.is_doubted = True
                raise OutcomeUnknown(WENT_BACK, PUBLIC)
            self._ends[partition] = offset + 1
        return LogPosition(self._epoch.number, partition, offset)

    def partition_of(self, conversation: ConversationId) -> int:
        """Return where a conversation's records belong; see `ports.log.PartitionedLog`."""
        return partition_of(conversation.encode(), self._epoch.partitions)

    async def ping(self) -> None:
        """Return when the log can be written to, and our clock agrees with the broker's."""
        if self.is_doubted:
            raise Unavailable(WENT_BACK, PUBLIC)
        if self._clock_ahead_ms > CLOCK_AHEAD_MAX_MS:
            raise Unavailable(
                f"this machine's clock is at least {self._clock_ahead_ms} ms ahead of Kafka's: "
                "set it right"
            )
        await self._producer.ping(self._epoch.topic)

    def _watch_the_clock(self, begun: int, delivered: Delivered) -> None:
        """Note how much earlier the broker's timestamp is than the time at which we sent."""
        if delivered.stamp_ms is not None:
            self._clock_ahead_ms = begun - delivered.stamp_ms
