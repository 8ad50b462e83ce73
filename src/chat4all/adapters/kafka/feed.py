"""The live feed on Kafka: routers write under a conversation's key, every gateway reads all."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from math import inf
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from chat4all.adapters.kafka.connection import client_config, describe
from chat4all.adapters.kafka.producer import KafkaProducer
from chat4all.adapters.kafka.reachability import PUBLIC
from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.periodic import UNEXPECTED, for_ever
from chat4all.domain.errors import Degraded, NotAccepted, Unavailable
from chat4all.domain.events import LiveEvent, by_key, key_of
from chat4all.ports.feed import FeedListener, push
from chat4all.wire.events import decode_events, encode_event, join_events

T = TypeVar("T")

RECORD_MAX = 256 * 1024
"""Bytes of events in one record, unless one event alone has more; a broker takes 1 MiB."""

READ_MAX = 500
"""Records that are read at once."""

WAIT_SECONDS = 0.1
ASK_SECONDS = 2.0
"""How long a broker may take to answer a question; also how long a stop may have to wait."""

RETRY_SECONDS = 1.0
"""The wait before reading again after an error."""

HEARTBEAT = b"heartbeat"
"""The key of records that no conversation has; the value is how many partitions the topic has."""

DIGITS_MAX = 6
"""Of a number of partitions; more is no heartbeat of ours."""

HEARTBEAT_SECONDS = 2.0
"""How often a router writes a heartbeat to every partition."""

SILENCE_SECONDS = 6.0
"""A feed of which any partition was not heard for so long is silent: two heartbeats may be lost."""

_log = logging.getLogger(__name__)


class KafkaAnnouncements:
    """The router's side: `announce` returns once the broker has the announcement."""

    def __init__(self, producer: KafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._partitions = 0

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """Append the events, those of a key together; see `ports.feed.Announcements`.

        Of an event that is too large for the topic only its key is announced: a gateway then drops
        the pages that it has cached of it, and followers find the gap by the next number.
        """
        try:
            await self._append((key, value, None) for key, value in in_records(events))
        except NotAccepted:
            for event in events:  # one at a time: a broker refuses a batch as a whole
                await self._announce_alone(event)

    async def beat(self) -> None:
        """Let every gateway hear the feed: one heartbeat in each partition."""
        try:
            # Asked each time: a topic may get more partitions.
            self._partitions = await self._producer.partitions(self._topic)
        except Unavailable:
            if self._partitions == 0:
                raise
        count = b"%d" % self._partitions
        await self._append((HEARTBEAT, count, number) for number in range(self._partitions))

    async def _announce_alone(self, event: LiveEvent) -> None:
        try:
            await self._append((key, value, None) for key, value in in_records([event]))
        except NotAccepted as error:
            key = key_of(event)
            _log.error("announced by its key only", extra={"key": key, "cause": str(error)})
            await self._append(iter([(key.encode(), join_events(()), None)]))

    async def _append(self, records: Iterator[tuple[bytes, bytes, int | None]]) -> None:
        sent = []
        try:
            for key, value, partition in records:
                sent.append(self._producer.send(self._topic, key, value, partition=partition))
        finally:
            # Also when one was refused: wait for those in flight.
            results = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


class KafkaFeed:
    """The gateway's side: one reader without a group, from the end on.

    `clock` is monotonic, in seconds.
    """

    def __init__(
        self, bootstrap: str, topic: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._topic = topic
        self._clock = clock
        self._consumer_config = client_config(bootstrap) | {
            "group.id": "chat4all-feed",  # required by the library; never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
        }
        self._listener: FeedListener | None = None
        self._heard_at: dict[int, float] = {}
        """When anything last came from each partition that is read."""
        self._closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-feed")
        self._outages = OutageLog(_log, "feed waits")
        self._background = AsyncExitStack()
        self._trouble: str | None = "the live feed is not read yet"
        self.silence_seconds = SILENCE_SECONDS

    def listen(self, listener: FeedListener) -> None:
        """Push to `listener` from now on; see `ports.feed.LiveFeed`."""
        self._listener = listener

    async def open(self) -> None:
        """Begin to read; once `ping` returns, no later record is missed."""
        self._consumer = Consumer(self._consumer_config)
        await self._background.enter_async_context(
            for_ever("reading the live feed", self._read_on, RETRY_SECONDS, self._outages)
        )

    async def ping(self) -> None:
        """Return while the feed is read from a known offset on. A gateway works without it."""
        if self._trouble is not None:
            raise Degraded(self._trouble)

    async def close(self) -> None:
        """Stop reading."""
        self._closing = True
        await self._background.aclose()
        await self._call(self._consumer.close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _read_on(self) -> None:
        """Read until it fails, from the end on."""
        try:
            self._heard_at = dict.fromkeys(await self._call(self._begin), -inf)
            # A topic may be found that cannot be read, which the first read finds.
            messages = await self._call(self._read)
            for message in messages:
                check(message)
            self._trouble = None
            self._outages.succeeded()
            if self._listener is not None:
                # Only now: every announcement from here on is read (EXACTNESS 20g).
                self._listener.lost()
            while True:
                self._take(messages)
                messages = await self._call(self._read)
        except BaseException as error:
            cause = str(error) if isinstance(error, Unavailable) else UNEXPECTED
            self._trouble = f"the live feed is not read: {cause}"
            raise

    def _begin(self) -> Iterable[int]:
        """Read from the end on, as a number: `OFFSET_END` is resolved only at the first fetch."""
        try:
            # Anything still queued, errors above all, belongs to the previous assignment.
            self._consumer.unassign()
            while self._consumer.consume(READ_MAX, 0):
                pass
            about = self._consumer.list_topics(self._topic, ASK_SECONDS).topics[self._topic]
            if about.error is not None:
                raise Unavailable(f"topic {self._topic}: {describe(about.error)}")
            places = [TopicPartition(self._topic, number) for number in about.partitions]
            for place in places:
                if self._closing:
                    raise Unavailable("the feed is closing")
                _, place.offset = self._consumer.get_watermark_offsets(place, ASK_SECONDS)
            self._consumer.assign(places)
        except KafkaException as error:
            raise Unavailable(describe(error), PUBLIC) from None
        return tuple(about.partitions)

    def _read(self) -> Sequence[Message]:
        first = self._consumer.poll(WAIT_SECONDS)
        return () if first is None else (first, *self._consumer.consume(READ_MAX, 0))

    def _take(self, messages: Sequence[Message]) -> None:
        """Push what was read. Only the listener knows whether it needs more than the key."""
        now = self._clock()
        for message in messages:
            check(message)
            if self._listener is None:
                continue
            key, value = message.key() or b"", message.value() or b""
            if key == HEARTBEAT:
                self._check_partitions(value)
            else:
                push(self._listener, key.decode(errors="replace"), partial(decode_events, value))
            self._heard_at[message.partition() or 0] = now
        # The feed was heard as long ago as the partition that was silent for longest.
        oldest = min(self._heard_at.values())
        if self._listener is not None and messages and oldest > -inf:
            self._listener.alive(now - oldest)

    def _check_partitions(self, count: bytes) -> None:
        """Raise `Unavailable` when there are partitions that are not read."""
        if len(count) <= DIGITS_MAX and count.isdigit() and int(count) > len(self._heard_at):
            raise Unavailable(f"topic {self._topic} has more partitions now")


def check(message: Message) -> None:
    """Raise `Unavailable` for what is an error and no message."""
    if (error := message.error()) is not None:
        raise Unavailable(describe(error), PUBLIC)


def in_records(events: Sequence[LiveEvent]) -> Iterator[tuple[bytes, bytes]]:
    """Return keys and values of the records for these events: a JSON list each, in order."""
    for key, of_key in by_key(events).items():
        part: list[bytes] = []
        size = 0
        for one in map(encode_event, of_key):
            if part and size + len(one) > RECORD_MAX:
                yield key.encode(), join_events(part)
                part, size = [], 0
            part.append(one)
            size += len(one) + 1
        yield key.encode(), join_events(part)
