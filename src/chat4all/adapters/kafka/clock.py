"""Whether this machine's clock agrees with Kafka's (EXACTNESS 6)."""

import asyncio
import time
from collections.abc import Callable

from chat4all.adapters.kafka.producer import Delivered, KafkaProducer
from chat4all.domain.errors import Unavailable

CLOCK_AHEAD_MAX_MS = 500
"""How far this machine's clock may be ahead of the broker's. An id that is not looked up was
stamped at most 1 s after it was made, and a retry comes at least 2 s after it was made (EXACTNESS
6): the clocks may differ by half of the second between them."""

PROBE_SECONDS = 5.0
"""How often the clocks are compared without traffic."""

PROBE = b"clock"
"""The key of a record that nobody reads: no conversation and no user has it."""

NO_EVENTS = b"[]"
"""Its value: every reader of the feed understands it."""

NO_STAMPS = (
    "topic {topic} keeps the timestamps of those who write to it, so that clocks cannot be "
    "compared without traffic: run `chat4all migrate`"
)


class ClockWatch:
    """Compares the times at which records were sent and acknowledged with the brokers' own.

    A broker's time lies between the two. The clock is wrong once even the first is too far ahead of
    one of them, and right again once even the second is not. Each partition is compared for itself:
    its leader is not the others', and the clocks of brokers may differ.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.now_ms = now_ms
        self._ahead_ms: dict[tuple[str, int], int] = {}
        """By topic and partition, how far the clock is ahead, where that is too far."""
        self._compared_ms = 0

    def compare(self, topic: str, begun_ms: int, delivered: Delivered) -> bool:
        """Note when a record was sent, which was just acknowledged; say whether all is well."""
        if delivered.stamp_ms is None:
            return False
        where, now = (topic, delivered.partition), self.now_ms()
        is_wrong = begun_ms - delivered.stamp_ms > CLOCK_AHEAD_MAX_MS
        is_right = not is_wrong and now - delivered.stamp_ms <= CLOCK_AHEAD_MAX_MS
        if is_wrong:
            self._ahead_ms[where] = begun_ms - delivered.stamp_ms
        elif is_right:
            self._ahead_ms.pop(where, None)
        if is_wrong or is_right:
            self._compared_ms = now
        return is_right

    def agrees(self) -> bool:
        """Say whether ids that are made now may pass as fresh."""
        return not self._ahead_ms

    def check(self) -> None:
        """Raise `Unavailable` while the clock is wrong."""
        if self._ahead_ms:
            raise Unavailable(
                f"this machine's clock is at least {max(self._ahead_ms.values())} ms ahead of "
                "Kafka's: set it right"
            )

    async def probe(self, producer: KafkaProducer, topic: str) -> None:
        """Compare by a record of our own, unless other records have just done so.

        While the clock is wrong, by one in every partition of the topic: brokers that lead none are
        not told from others then. Partitions that take nothing do not count.
        """
        begun = self.now_ms()
        agreed = self.agrees()
        if agreed and 0 <= begun - self._compared_ms < PROBE_SECONDS * 1000:
            return
        partitions = [None] if agreed else range(await producer.partitions(topic))
        begun = self.now_ms()
        answers = await asyncio.gather(
            *(producer.send(topic, PROBE, NO_EVENTS, partition=number) for number in partitions),
            return_exceptions=True,
        )
        delivered = [one for one in answers if isinstance(one, Delivered)]
        if not delivered and isinstance(answers[0], BaseException):
            raise answers[0]
        if any(one.stamp_ms is None for one in delivered):
            raise Unavailable(NO_STAMPS.format(topic=topic))
        compared = [self.compare(topic, begun, one) for one in delivered]
        if not agreed and all(compared):
            self._ahead_ms.clear()
