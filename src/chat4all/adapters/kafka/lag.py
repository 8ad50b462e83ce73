"""The consumer lag, from the log's ends, which are queried now and then."""

from collections.abc import Iterable, Mapping

from chat4all.adapters.kafka.topics import Topics
from chat4all.domain.errors import Unavailable


class LagMeter:
    """Compares offsets with the ends of their partitions, as of the last `measure`."""

    def __init__(self, topics: Topics, topic: str) -> None:
        self._topics = topics
        self._topic = topic
        self._ends: Mapping[int, int] = {}

    async def measure(self, partitions: Iterable[int]) -> None:
        """Query where these partitions end; keep the old ends when Kafka does not answer.

        A paused partition is not fetched, so the consumer itself does not know its end.
        """
        try:
            bounds = await self._topics.ends(self._topic, sorted(partitions))
        except Unavailable:
            return  # the router's polls fail as well, and are logged
        self._ends = {partition: end for partition, (_, end) in bounds.items()}

    def lag(self, offsets: Mapping[int, int]) -> Mapping[int, int]:
        """Return how many records follow each offset in its partition, where its end is known."""
        return {
            partition: max(0, self._ends[partition] - offset)
            for partition, offset in offsets.items()
            if partition in self._ends
        }
