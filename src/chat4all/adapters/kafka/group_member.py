"""The library's consumer as a member of the router's group: batches, commits, pauses.

Every call comes from the one thread that `KafkaConsumer` keeps for it.
"""

import contextlib
import math
import time
from collections.abc import Sequence, Set
from typing import Any

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from chat4all.adapters.kafka.assignments import Assignments
from chat4all.adapters.kafka.commit_reports import CommitReports
from chat4all.adapters.kafka.connection import describe
from chat4all.adapters.kafka.reachability import PUBLIC
from chat4all.adapters.kafka.topics import ASK_SECONDS
from chat4all.domain.errors import RouterStopped, Unavailable
from chat4all.domain.ids import LogPosition
from chat4all.domain.records import Epoch, Headers, LogRecord
from chat4all.ports.log import Poll

GATHER_SECONDS = 0.005
"""How long a batch that is not full waits for more."""

TAKE_SECONDS = 0.05
"""How long a batch may grow while there is always another message."""

BYTES_MAX = 4 * 1024 * 1024
"""Bytes of records after which a batch is full."""

REPORT_SECONDS = 0.002
"""How long one poll waits for a commit's report: the library waits for messages as well."""

TAKEN_MAX = 10_000
"""Messages that may arrive during a commit; after that partitions are paused, and the library
fetches their messages again."""

# The router's next offset does not exist, or the log is not the same any more.
_CONTRADICTIONS = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError._LOG_TRUNCATION,  # reported to those that were reading when it happened
}


class GroupMember:
    """Takes messages, commits offsets, and stays in the group. Only one thread may use it.

    `config` is the library's. `assignments` may be read and checked elsewhere while no call is in
    progress here.
    """

    def __init__(self, epoch: Epoch, config: dict[str, Any]) -> None:
        self._epoch = epoch
        self._reports = CommitReports()
        self.config = config | {"on_commit": self._reports.add}
        self.assignments = Assignments()
        self._paused: Set[int] = frozenset()
        self._taken: list[tuple[int, Message]] = []
        """Messages not handed out yet, each with the number of its assignment."""
        self._error: KafkaError | None = None

    def subscribe(self) -> None:
        """Join the group. The topic and the broker may come later."""
        self._consumer = Consumer(self.config)
        self._consumer.subscribe(
            [self._epoch.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def take(self, limit: int, wait_seconds: float) -> None:
        """Take messages until there are `limit`, bounded by their bytes and by time.

        Waits up to `wait_seconds` for the first one.
        """
        now = time.monotonic()
        self._resume(self._paused)
        until, last = now + wait_seconds, math.inf
        size = self._size()
        if self._taken:  # during the last commit
            until, last = now + GATHER_SECONDS, now + TAKE_SECONDS
        while self._error is None and len(self._taken) < limit and size < BYTES_MAX and now < last:
            took = self._next(max(0.0, until - now))
            now = time.monotonic()
            if took:
                if size == 0:
                    until, last = now + GATHER_SECONDS, now + TAKE_SECONDS
                size += len(self._taken[-1][1])
            elif now >= until:
                break

    def hand_out(self, limit: int) -> Poll:
        """Return messages taken under current assignments; without any, raise a pending error.

        Raises `RouterStopped` for one that contradicts the log, otherwise `Unavailable`.
        """
        holding = [
            (number, message)
            for number, message in self._taken
            if self.assignments.number_of(message.partition() or 0) == number
        ]
        records = [self._record(message) for _, message in holding[:limit]]
        self._taken = holding[limit:]
        if not records and self._error is not None:
            error, self._error = self._error, None
            if error.code() in _CONTRADICTIONS or error.fatal():
                raise RouterStopped(f"{self._epoch.topic}: {describe(error)}")
            raise Unavailable(describe(error), PUBLIC)
        return Poll(records, self.assignments.hand_out())

    def committed(self, partitions: Sequence[int]) -> dict[int, int]:
        """Return the group's offset in each partition; negative where it has none."""
        try:
            places = self._consumer.committed(self._places(partitions), timeout=ASK_SECONDS)
        except KafkaException as error:
            raise Unavailable(describe(error), PUBLIC) from None
        return {place.partition: place.offset for place in places}

    def commit(self, through: Sequence[LogPosition]) -> None:
        """Commit the offsets after these records, where still ours, and wait for the report.

        The library's own wait has no timeout and does not poll: when the session expires before the
        report, there never is one.
        """
        offsets = self.assignments.committable(through)
        if not offsets:
            return
        self._reports.clear()
        size = self._size()
        try:
            self._consumer.commit(
                offsets=[TopicPartition(self._epoch.topic, *item) for item in offsets.items()],
                asynchronous=True,
            )
            deadline = time.monotonic() + ASK_SECONDS
            while not self._reports.confirm(offsets):
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                if len(self._taken) < TAKEN_MAX and size < BYTES_MAX:
                    size += len(self._taken[-1][1]) if self._next(REPORT_SECONDS) else 0
                else:
                    self.serve()
        except KafkaException as error:
            # The partitions may be revoked; the library reports that when it is polled.
            self.serve()
            raise Unavailable(describe(error), PUBLIC) from None
        self.assignments.commit(offsets)

    def serve(self) -> None:
        """Poll with all partitions paused, to stay in the group; keep messages that come anyway."""
        new = self.assignments.partitions - self._paused
        with contextlib.suppress(KafkaException):
            self._consumer.pause(self._places(new))
            self._paused |= new
        self._next(0)

    def _resume(self, partitions: Set[int]) -> None:
        if not partitions:
            return
        with contextlib.suppress(KafkaException):
            self._consumer.resume(self._places(partitions))
        self._paused -= partitions

    def _on_assign(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        self.assignments.assign(place.partition for place in places)

    def _on_revoke(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        gone = {place.partition for place in places}
        # A pause would outlive the assignment.
        self._resume(self._paused & gone)
        self.assignments.revoke(gone)

    def _size(self) -> int:
        """Return the bytes of messages not handed out yet."""
        return sum(len(message) for _, message in self._taken)

    def _next(self, seconds: float) -> bool:
        """Take one message, if one comes in time.

        One at a time, because rebalance callbacks run in between: a list may have messages from
        before and after a partition was revoked.
        """
        message = self._consumer.poll(seconds)
        if message is None:
            return False
        if (error := message.error()) is not None:
            self._error = error
            return False
        number = self.assignments.number_of(message.partition() or 0)
        if number is not None:
            self._taken.append((number, message))
        return number is not None

    def _places(self, partitions: Sequence[int] | Set[int]) -> list[TopicPartition]:
        return [TopicPartition(self._epoch.topic, partition) for partition in partitions]

    def _record(self, message: Message) -> LogRecord:
        kind, stamp = message.timestamp()
        return LogRecord(
            LogPosition(self._epoch.number, message.partition() or 0, message.offset() or 0),
            message.key() or b"",
            message.value() or b"",
            stamp,
            kind == TIMESTAMP_LOG_APPEND_TIME,
            _headers(message),
        )


def _headers(message: Message) -> Headers:
    """Return a message's headers, once: the library may not be asked again after an error."""
    try:
        headers: Any = message.headers()
    except (SystemError, UnicodeDecodeError):
        return ()  # a name that is not UTF-8; another producer may write one
    return tuple(headers or ())
