"""The library's reports on commits, which may come late or for a commit that was given up."""

from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, TopicPartition


class CommitReports:
    """Collects reports until the one on a certain commit is among them."""

    def __init__(self) -> None:
        self._reports: list[tuple[KafkaError | None, Sequence[TopicPartition]]] = []

    def add(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        """Take a report: the callback `on_commit`."""
        self._reports.append((error, places))

    def clear(self) -> None:
        """Drop what has come so far."""
        self._reports.clear()

    def confirm(self, offsets: Mapping[int, int]) -> bool:
        """Say whether these offsets are committed; raises `KafkaException` when they are not."""
        while self._reports:
            error, places = self._reports.pop()
            if {place.partition: place.offset for place in places} != offsets:
                continue  # of a commit that was given up
            for reason in (error, *(place.error for place in places)):
                if reason is not None:
                    raise KafkaException(reason)
            return True
        return False
