"""The live feed on Kafka: routers announce under a conversation's key, every gateway reads all."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from chat4all.adapters.kafka.connection import client_config, said
from chat4all.adapters.kafka.producer import KafkaProducer
from chat4all.adapters.kafka.reaching import SHOWN
from chat4all.adapters.subscribers import BUFFER_MAX, BufferedSubscription, Subscribers
from chat4all.domain.errors import Unavailable
from chat4all.ports import LiveEvent

T = TypeVar("T")

RECORD_MAX = 256 * 1024
"""Bytes of events in one record, unless one event alone has more; a broker takes 1 MiB."""

READ_MAX = 500
"""Records that are taken at once."""

WAIT_SECONDS = 0.1
ASK_SECONDS = 5.0
RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
_events = msgspec.json.Decoder(list[LiveEvent])


class KafkaAnnouncements:
    """The router's side: an announcement is made once the broker has it."""

    def __init__(self, producer: KafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """Append the events, those of a key together; see `ports.Announcements`."""
        sent = []
        try:
            for key, value in in_records(events):
                sent.append(self._producer.send(self._topic, key, value))
        finally:
            # Also when one was refused: what is under way is not left to itself.
            results = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


class KafkaFeed(KafkaAnnouncements):
    """The gateway's side: one reader without a group for all who subscribe in this process."""

    def __init__(
        self, bootstrap: str, producer: KafkaProducer, topic: str, *, buffer: int = BUFFER_MAX
    ) -> None:
        super().__init__(producer, topic)
        self._consumer_config = client_config(bootstrap) | {
            "group.id": "chat4all-feed",  # the library wants one; it is never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
        }
        self._subscribers = Subscribers(buffer)
        self.watch = self._subscribers.watch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-feed")
        self._trouble: str | None = "the live feed is not read yet"

    async def open(self) -> None:
        """Begin to read; `ping` tells when nothing that follows can be missed."""
        self._consumer = Consumer(self._consumer_config)
        self._reading = asyncio.create_task(self._read_for_ever(), name="kafka feed")

    async def ping(self) -> None:
        """Return while the feed is read from a known place on."""
        if self._trouble is not None:
            raise Unavailable(self._trouble)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[BufferedSubscription]:
        """Receive what is announced from now on; some that was announced before may come first.

        Raises `Unavailable` while the feed is not read.
        """
        await self.ping()
        async with self._subscribers.subscribe() as subscription:
            yield subscription

    async def close(self) -> None:
        """Stop reading."""
        self._reading.cancel()
        await asyncio.wait({self._reading})
        await self._call(self._consumer.close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _read_for_ever(self) -> None:
        while True:
            try:
                await self._call(self._begin)
                self._trouble = None
                while True:
                    self._take(await self._call(self._read))
            except Unavailable as error:
                self._trouble = f"the live feed is not read: {error}"
                _log.warning("feed waits", extra={"cause": str(error)})
            # What follows will be read from its end on: those who listen have missed something.
            self._subscribers.lose()
            await asyncio.sleep(RETRY_SECONDS)

    def _begin(self) -> None:
        """Read from the end on, as a number: `OFFSET_END` is looked up only when it is fetched."""
        try:
            about = self._consumer.list_topics(self._topic, ASK_SECONDS).topics[self._topic]
            if about.error is not None:
                raise Unavailable(f"topic {self._topic}: {said(about.error)}")
            places = [TopicPartition(self._topic, number) for number in about.partitions]
            for place in places:
                _, place.offset = self._consumer.get_watermark_offsets(place, ASK_SECONDS)
            self._consumer.assign(places)
        except KafkaException as error:
            raise Unavailable(said(error), SHOWN) from None

    def _read(self) -> Sequence[Message]:
        first = self._consumer.poll(WAIT_SECONDS)
        return () if first is None else (first, *self._consumer.consume(READ_MAX, 0))

    def _take(self, messages: Sequence[Message]) -> None:
        """Hand on what was read. Keys come first: without a listener nothing is decoded."""
        for message in messages:
            if (error := message.error()) is not None:
                raise Unavailable(said(error), SHOWN)
            self._subscribers.tell([(message.key() or b"").decode(errors="replace")])
            if self._subscribers:
                try:
                    self._subscribers.put(_events.decode(message.value() or b""))
                except msgspec.MsgspecError as malformed:
                    # It may have been anything: whoever listens must read the store.
                    _log.error("feed: a record is malformed", extra={"cause": str(malformed)})
                    self._subscribers.lose()


def in_records(events: Sequence[LiveEvent]) -> Iterator[tuple[bytes, bytes]]:
    """Return keys and values of the records for these events: a JSON list each, in order."""
    by_key = defaultdict[str, list[bytes]](list)
    for event in events:
        by_key[event.key].append(_encoder.encode(event))
    for key, encoded in by_key.items():
        part: list[bytes] = []
        size = 0
        for one in encoded:
            if part and size + len(one) > RECORD_MAX:
                yield key.encode(), b"[" + b",".join(part) + b"]"
                part, size = [], 0
            part.append(one)
            size += len(one) + 1
        yield key.encode(), b"[" + b",".join(part) + b"]"
