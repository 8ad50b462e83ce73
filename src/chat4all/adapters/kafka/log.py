"""The message log on Kafka, the gateway's side."""

from chat4all.adapters.kafka.clock import ClockWatch
from chat4all.adapters.kafka.partitions import partition_of
from chat4all.adapters.kafka.producer import KafkaProducer
from chat4all.adapters.kafka.reachability import PUBLIC
from chat4all.domain.errors import OutcomeUnknown, Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Epoch, Headers

WENT_BACK = "Kafka's offsets went back: the log's topic may have been remade, and is compared again"


class KafkaLog:
    """Appends to the topic of one epoch through a producer that others may share.

    `is_doubted` once Kafka has acknowledged a record below an earlier one: then this is not the
    topic that it was, or has lost records, and nothing more is appended.
    """

    def __init__(
        self, producer: KafkaProducer, epoch: Epoch, clock: ClockWatch | None = None
    ) -> None:
        self._producer = producer
        self._epoch = epoch
        self._clock = clock or ClockWatch()
        self._ends: dict[int, int] = {}
        """By partition, the offset after the last record that was acknowledged here."""
        self.is_doubted = False

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        """Append one record; see `ports.log.MessageLog`."""
        if self.is_doubted:
            raise Unavailable(WENT_BACK, PUBLIC)
        begun = self._clock.now_ms()
        delivered = await self._producer.send(self._epoch.topic, key.encode(), value, headers)
        self._clock.compare(self._epoch.topic, begun, delivered)
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

    def makes_fresh_ids(self) -> bool:
        """Say whether our clock agrees with the broker's; see `ports.log.MessageLog`."""
        return self._clock.agrees()

    async def ping(self) -> None:
        """Return when the log can be written to, and our clock agrees with the broker's."""
        if self.is_doubted:
            raise Unavailable(WENT_BACK, PUBLIC)
        self._clock.check()
        await self._producer.ping(self._epoch.topic)
