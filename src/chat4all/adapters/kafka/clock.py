"""Whether this machine's clock agrees with Kafka's (EXACTNESS 6)."""

import time
from collections.abc import Callable

from chat4all.adapters.kafka.producer import KafkaProducer
from chat4all.domain.errors import Unavailable

CLOCK_AHEAD_MAX_MS = 500
"""How far this machine's clock may be ahead of the broker's. An id that is not looked up was
stamped at most 1 s after it was made, and a retry comes at least 2 s after it was made (EXACTNESS
6): the clocks may differ by half of the second between them."""

PROBE_SECONDS = 5.0
"""How often the clocks are compared without traffic."""

PROBE = b"clock"
"""The key of a record that nobody reads: no conversation and no user has it."""

NO_STAMPS = (
    "topic {topic} keeps the timestamps of those who write to it, so that clocks cannot be "
    "compared without traffic: run `chat4all migrate`"
)


class ClockWatch:
    """Compares the times at which records were sent and acknowledged with the broker's own.

    The broker's time lies between the two. The clock is wrong once even the first is too far ahead,
    and right again once even the second is not.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.now_ms = now_ms
        self._ahead_ms = 0
        self._compared_ms = 0

    def compare(self, begun_ms: int, stamp_ms: int | None) -> None:
        """Note when a record was sent and how the broker stamped it; it was just acknowledged."""
        if stamp_ms is None:
            return
        self._compared_ms = now = self.now_ms()
        if begun_ms - stamp_ms > CLOCK_AHEAD_MAX_MS:
            self._ahead_ms = begun_ms - stamp_ms
        elif now - stamp_ms <= CLOCK_AHEAD_MAX_MS:
            self._ahead_ms = 0

    def agrees(self) -> bool:
        """Say whether ids that are made now may pass as fresh."""
        return self._ahead_ms == 0

    def check(self) -> None:
        """Raise `Unavailable` while the clock is wrong."""
        if self._ahead_ms:
            raise Unavailable(
                f"this machine's clock is at least {self._ahead_ms} ms ahead of Kafka's: "
                "set it right"
            )

    async def probe(self, producer: KafkaProducer, topic: str) -> None:
        """Compare by a record of our own, unless other records have just done so."""
        begun = self.now_ms()
        if 0 <= begun - self._compared_ms < PROBE_SECONDS * 1000 and self.agrees():
            return
        delivered = await producer.send(topic, PROBE, b"")
        if delivered.stamp_ms is None:
            raise Unavailable(NO_STAMPS.format(topic=topic))
        self.compare(begun, delivered.stamp_ms)
