"""The library's reports on commits, which may be late or about an abandoned commit."""

from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, TopicPartition


class CommitReports:
    """Collects reports until one is about a given commit."""

    def __init__(self) -> None:
        self._reports: list[tuple[KafkaError | None, Sequence[TopicPartition]]] = []

    def add(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        """Add a report: the callback `on_commit`."""
        self._reports.append((error, places))

    def clear(self) -> None:
        """Drop the reports so far."""
        self._reports.clear()

    def confirm(self, offsets: Mapping[int, int]) -> bool:
        """Say whether these offsets are committed; raises `KafkaException` when they are not."""
        while self._reports:
            error, places = self._reports.pop()
            if {place.partition: place.offset for place in places} != offsets:
                continue  # about an abandoned commit
            for reason in (error, *(place.error for place in places)):
                if reason is not None:
                    raise KafkaException(reason)
            return True
        return False
