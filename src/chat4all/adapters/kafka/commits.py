"""Offsets that are to be committed: one request at a time, which no batch waits for."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from confluent_kafka import KafkaError, TopicPartition

ANSWER_SECONDS = 10.0
"""After so long a request is given up: when the session ends meanwhile, the library never reports
what became of it."""

RETRY_SECONDS = 0.2
"""The pause after a request that failed."""


class Commits:
    """Keeps the newest offset of each partition until Kafka has confirmed it.

    While the group waits for a member that died, Kafka answers no commit. What is added meanwhile
    goes with the next request. Makes no calls to Kafka; `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wanted: dict[int, int] = {}
        self._sent: dict[int, int] = {}
        self._send_again = 0.0
        self._since = 0.0
        self.error: KafkaError | None = None
        """Why the last request failed; None after one that did not."""

    @property
    def are_pending(self) -> bool:
        """Whether there is something that is not confirmed."""
        return bool(self._wanted)

    @property
    def waited_seconds(self) -> float:
        """How long Kafka has confirmed nothing, though there was something to confirm."""
        return self._clock() - self._since if self._wanted else 0.0

    def add(self, offsets: Mapping[int, int]) -> None:
        """Have these offsets, by partition, committed."""
        if not self._wanted:
            self._since = self._clock()
        self._wanted |= offsets

    def drop(self, partitions: Iterable[int]) -> dict[int, int]:
        """Give up partitions that are revoked; return what is not confirmed of them."""
        return {
            partition: self._wanted.pop(partition)
            for partition in partitions
            if partition in self._wanted
        }

    def to_send(self) -> dict[int, int]:
        """Return the offsets of the next request; empty while none is to be sent."""
        if not self._wanted or self._clock() < self._send_again:
            return {}
        self._sent = dict(self._wanted)
        self._send_again = self._clock() + ANSWER_SECONDS
        return self._sent

    def report(
        self, error: KafkaError | None, places: Sequence[TopicPartition]
    ) -> Mapping[int, int]:
        """Take the library's report (`on_commit`); return the offsets that are now confirmed."""
        if {place.partition: place.offset for place in places} != self._sent:
            return {}  # about a request that was given up
        self.error = next(filter(None, (error, *(place.error for place in places))), None)
        if self.error is not None:
            self._send_again = self._clock() + RETRY_SECONDS
            return {}
        self._send_again, self._since = 0.0, self._clock()
        # Those revoked meanwhile are not in `_wanted`, and not ours to speak of.
        confirmed = {n: offset for n, offset in self._sent.items() if n in self._wanted}
        for partition, offset in confirmed.items():
            if self._wanted[partition] == offset:
                del self._wanted[partition]
        return confirmed
