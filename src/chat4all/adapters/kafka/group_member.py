"""The library's consumer as a member of the router's group: batches, commits, pauses.

Every call comes from the one thread that `KafkaConsumer` keeps for it.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence, Set
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
from chat4all.adapters.kafka.commits import Commits
from chat4all.adapters.kafka.connection import describe
from chat4all.adapters.kafka.reachability import PUBLIC
from chat4all.domain.errors import RouterStopped, Unavailable
from chat4all.domain.ids import LogPosition
from chat4all.domain.records import Epoch, Headers, LogRecord
from chat4all.ports.log import FEW_MAX, Poll

GATHER_SECONDS = 0.005
"""How long a batch that is not full waits for more."""

TAKE_SECONDS = 0.05
"""How long a batch may grow while there is always another message."""

BYTES_MAX = 4 * 1024 * 1024
"""Bytes of records after which a batch is full."""

HELD_MAX = 1_000
"""Messages of partitions that are not checked yet, after which these are paused."""

SLICE_SECONDS = 0.1
"""How long one poll of the library waits: a new assignment is noticed only between two."""

CHECK_SECONDS = 0.02
"""How long to wait for messages while partitions were assigned and are not checked."""

LEAVE_SECONDS = 2.0
"""How long leaving the group may take, and before that the last commit."""

# The router's next offset does not exist, or the log is not the same any more.
_CONTRADICTIONS = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError._LOG_TRUNCATION,  # reported to those that were reading when it happened
}

# The library says of such an error neither that it is fatal nor, but in its text, which it is.
_FATAL = {KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID}

FENCED = (
    "another router runs under the name {name}: give each its own CHAT4ALL_ROUTER_NAME; this one "
    "goes on once nobody has the name"
)


_log = logging.getLogger(__name__)


class GroupMember:
    """Takes messages, commits offsets, and stays in the group. Only one thread may use it.

    `config` is the library's. The event loop may read `assignments` and stop partitions there.
    """

    def __init__(self, epoch: Epoch, config: dict[str, Any]) -> None:
        self._epoch = epoch
        self.config = config | {"on_commit": self._on_commit}
        self.assignments = Assignments()
        self._commits = Commits()
        self._paused: Set[int] = frozenset()
        self._taken: list[tuple[int, Message]] = []
        """Messages not handed out yet, each with the number of its assignment."""
        self._were = 0
        """How many were taken the last time that there were any."""
        self._held: list[tuple[int, Message]] = []
        """The same of partitions that are not checked yet: earlier than what is taken of them."""
        self._error: KafkaError | None = None
        """The last one that may pass."""
        self._fatal: KafkaError | None = None
        """The first one after which the library does nothing any more."""

    def subscribe(self) -> None:
        """Join the group. The topic and the broker may come later."""
        self._consumer = Consumer(self.config)
        self._consumer.subscribe(
            [self._epoch.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def close(self, *, leaving: bool) -> None:
        """Commit what is not yet, and end.

        A member with a name keeps its partitions for a session, so that it gets them back when it
        is restarted; `leaving` gives them to others at once.
        """
        if self._fatal is None:
            self._serve_until(lambda: not self._commits.are_pending)
            if leaving:
                # Only this tells the group so: closing does not, where a member has a name.
                self._consumer.unsubscribe()
                self._serve_until(lambda: not self.assignments.partitions)
                self._next(SLICE_SECONDS)
        self._consumer.close()

    def take(self, limit: int, wait_seconds: float) -> bool:
        """Take messages until there are `limit`, bounded by their bytes and by time.

        Waits up to `wait_seconds` for the first one; returns whether there are any.
        """
        now = time.monotonic()
        self._pause(self._closed())
        self._send_commits()
        until, last = now + wait_seconds, math.inf
        gather = GATHER_SECONDS if self._were > FEW_MAX else 0.0
        size = sum(len(message) for _, message in self._taken)
        if self._taken:  # while the last batch was routed
            until, last = now + gather, now + TAKE_SECONDS
        while self._is_well() and len(self._taken) < limit and size < BYTES_MAX and now < last:
            if self.assignments.unchecked:
                until = min(until, now + CHECK_SECONDS)
            took = self._next(max(0.0, min(until - now, SLICE_SECONDS)))
            now = time.monotonic()
            if took:
                if size == 0:
                    until, last = now + gather, now + TAKE_SECONDS
                size += len(self._taken[-1][1])
            elif now >= until:
                break
        self._were = len(self._taken) or self._were
        return bool(self._taken)

    def hand_out(self, limit: int) -> Poll:
        """Return messages taken under current assignments; without any, raise a pending error.

        Raises `RouterStopped` for one after which nothing can go on, otherwise `Unavailable`.
        """
        if self._fatal is not None:
            raise RouterStopped(self._say_fatal(self._fatal))
        unchecked = self.assignments.unchecked
        opened, held = [], []
        for number, message in self._held + self._taken if self._held else self._taken:
            partition = message.partition() or 0
            if self.assignments.number_of(partition) != number:
                continue
            if self.assignments.is_open(partition):
                opened.append((number, message))
            elif partition in unchecked:
                held.append((number, message))
        records = [self._record(message) for _, message in opened[:limit]]
        self._taken, self._held = opened[limit:], held
        if not records and self._error is not None:
            error, self._error = self._error, None
            raise Unavailable(describe(error), PUBLIC)
        return Poll(records, self.assignments.hand_out(), self.assignments.stopped)

    def commit(self, through: Sequence[LogPosition], wait_seconds: float) -> None:
        """Have the offsets after these records committed, where still ours, without waiting.

        Raises `Unavailable` when Kafka has confirmed none for longer than `wait_seconds`. (The
        library's own wait has no timeout and does not poll: when the session expires before the
        report, there never is one.)
        """
        self._commits.add(self.assignments.committable(through))
        self._send_commits()
        if self._commits.waited_seconds > wait_seconds:
            self.serve()
            error = self._commits.error
            cause = "it does not answer" if error is None else describe(error)
            raise Unavailable(
                f"Kafka has confirmed no commit for {wait_seconds:g} s: {cause}", PUBLIC
            )

    def serve(self) -> None:
        """Poll with all partitions paused, to stay in the group; keep messages that come anyway."""
        self._pause(self.assignments.partitions)
        self._send_commits()
        self._next(0)

    def _serve_until(self, done: Callable[[], bool]) -> None:
        """Serve until something holds, for at most `LEAVE_SECONDS`."""
        deadline = time.monotonic() + LEAVE_SECONDS
        while not done() and self._fatal is None and time.monotonic() < deadline:
            self.serve()
            self._next(CHECK_SECONDS)

    def _closed(self) -> Set[int]:
        """Return the partitions of which no more messages are wanted now.

        Not at once those that are not checked yet: a partition that was paused is fetched again
        only after a second, and the check takes less.
        """
        stopped = self.assignments.stopped.keys()
        size = sum(len(message) for _, message in self._held)
        if len(self._held) > HELD_MAX or size > BYTES_MAX:
            return stopped | self.assignments.unchecked.keys()
        return stopped

    def _pause(self, partitions: Set[int]) -> None:
        """Have exactly these of the assigned partitions paused."""
        if partitions == self._paused:
            return
        with contextlib.suppress(KafkaException):
            self._consumer.pause(self._places(partitions - self._paused))
            self._consumer.resume(self._places(self._paused - partitions))
            self._paused = frozenset(partitions)

    def _on_assign(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        self.assignments.assign(place.partition for place in places)
        _note("partitions assigned", places)

    def _on_revoke(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        _note("partitions revoked", places)
        unconfirmed = self._give_up(places)
        self.assignments.revoke(place.partition for place in places)
        if unconfirmed:
            # Still ours until we return. It saves the next owner from routing them again.
            self._request(unconfirmed)

    def _on_lost(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        _note("partitions lost", places)
        self._give_up(places)
        self.assignments.lose(place.partition for place in places)

    def _give_up(self, places: Sequence[TopicPartition]) -> dict[int, int]:
        """Forget about partitions; return what is not committed of them."""
        gone = {place.partition for place in places}
        # A pause would outlive the assignment.
        self._pause(self._paused - gone)
        return self._commits.drop(gone)

    def _send_commits(self) -> None:
        if offsets := self._commits.to_send():
            self._request(offsets)

    def _request(self, offsets: Mapping[int, int]) -> None:
        places = [TopicPartition(self._epoch.topic, *item) for item in offsets.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            self._on_commit(error.args[0], places)

    def _on_commit(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        self.assignments.commit(self._commits.report(error, places))

    def _is_well(self) -> bool:
        return self._error is None and self._fatal is None

    def _take_error(self, error: KafkaError, partition: int | None) -> None:
        """Keep an error where no other one can take its place but one of its kind."""
        if error.code() in _FATAL or error.fatal():
            self._fatal = self._fatal or error
        elif error.code() in _CONTRADICTIONS and partition is not None:
            self.assignments.stop(partition, f"{self._epoch.topic}: {describe(error)}")
        else:
            self._error = error

    @property
    def is_fenced(self) -> bool:
        """Whether the group has given this member's name to another one."""
        return self._fatal is not None and "fenced" in self._fatal.str().lower()

    def _say_fatal(self, error: KafkaError) -> str:
        if self.is_fenced:
            return FENCED.format(name=self.config.get("group.instance.id"))
        return f"{self._epoch.topic}: {describe(error)}"

    def _next(self, seconds: float) -> bool:
        """Take one message, if one comes in time that may be handed out.

        One at a time, because rebalance callbacks run in between: a list may have messages from
        before and after a partition was revoked.
        """
        message = self._consumer.poll(seconds)
        if message is None:
            self._send_commits()
            return False
        if (error := message.error()) is not None:
            self._take_error(error, message.partition())
            return False
        partition = message.partition() or 0
        if (number := self.assignments.number_of(partition)) is None:
            return False
        if not self.assignments.is_open(partition):
            self._held.append((number, message))
            return False
        self._taken.append((number, message))
        return True

    def _places(self, partitions: Set[int]) -> list[TopicPartition]:
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


def _note(what: str, places: Sequence[TopicPartition]) -> None:
    _log.info(what, extra={"partitions": sorted(place.partition for place in places)})


def _headers(message: Message) -> Headers:
    """Return a message's headers, once: the library may not be asked again after an error."""
    try:
        headers: Any = message.headers()
    except (SystemError, UnicodeDecodeError):
        return ()  # a name that is not UTF-8; another producer may write one
    return tuple(headers or ())
