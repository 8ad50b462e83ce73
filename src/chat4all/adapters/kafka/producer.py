"""Kafka's producer behind an event loop: its delivery reports become futures, a batch at a time."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message, Producer

from chat4all.adapters.kafka.connection import client_config, describe
from chat4all.adapters.kafka.reachability import PUBLIC, metadata_of, reach
from chat4all.domain.errors import Degraded, NotAccepted, OutcomeUnknown, Overloaded, Unavailable
from chat4all.domain.records import Headers

QUEUE_MAX = 10_000
"""Records that may wait for their reports, each at most 64 KiB or so; one more is refused."""

SCAN_SECONDS = 1.5
"""How much later than `delivery.timeout.ms` a report may come: librdkafka checks once a second."""

LINGER_MS = 1
"""How long a record waits for others of its partition."""

POLL_SECONDS = 0.1

NOT_CONFIRMED = "the message log (Kafka) did not confirm it in time"


_log = logging.getLogger(__name__)

# What a broker, or the library before it asks one, will not take however often it is sent.
_NEVER = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_TIMESTAMP,
}


class Delivered(NamedTuple):
    """Where a record is. `stamp_ms`: the broker's own timestamp; None when it kept ours.

    `offset` is negative when the broker does not report it, as for a repetition of its own.
    """

    partition: int
    offset: int
    stamp_ms: int | None


_Report: TypeAlias = tuple["asyncio.Future[Delivered]", KafkaError | None, Message]


class KafkaProducer:
    """An idempotent producer with acks=all: each delivered record is in the log once, in order.

    Within `deadline` seconds a record is acknowledged or its outcome reported as unknown. After a
    fatal error the producer is unusable; `on_fatal` is then called with the cause, in the loop.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        deadline: float = 5.0,
        queue_max: int = QUEUE_MAX,
        on_fatal: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._bootstrap = bootstrap
        self._queue_max = queue_max
        self._deadline = deadline
        self._on_fatal = on_fatal
        self._config = client_config(bootstrap) | {
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "delivery.timeout.ms": int((deadline - SCAN_SECONDS) * 1000),
            "linger.ms": LINGER_MS,
            # Our own bound counts; this one only has to be higher.
            "queue.buffering.max.messages": queue_max + 1,
            "error_cb": self._take_error,
        }
        self._waiting = 0
        self._idle = asyncio.Event()
        self._reports: list[_Report] = []
        self._closing = False
        self._fatal: str | None = None

    async def open(self) -> None:
        """Start. It connects and reconnects by itself."""
        self._loop = asyncio.get_running_loop()
        self._producer = Producer(self._config)
        self._thread = threading.Thread(target=self._serve, name="kafka-reports", daemon=True)
        self._thread.start()

    def send(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Headers = (),
        partition: int | None = None,
    ) -> "asyncio.Future[Delivered]":
        """Send a record; the future has its place once it is durable, or `OutcomeUnknown`.

        The future has `NotAccepted` for a record that is too large, for example. A broker refuses
        a batch as a whole: who sends several at once has to send them again one by one to know
        which it is. Without a `partition` it goes to the one that its key hashes to.

        Raises `Overloaded` or `Unavailable` when it was not sent.
        """
        if self._fatal is not None:
            raise Unavailable(self._fatal, PUBLIC)
        if self._waiting >= self._queue_max:
            raise Overloaded("too many records wait for Kafka")
        done: asyncio.Future[Delivered] = self._loop.create_future()
        try:
            self._producer.produce(
                topic,
                value,
                key,
                -1 if partition is None else partition,  # librdkafka's PARTITION_UA
                on_delivery=partial(self._report, done),
                headers=list(headers),
            )
        except BufferError:
            raise Overloaded("too many records wait for Kafka") from None
        except KafkaException as error:
            if error.args[0].code() in _NEVER:
                done.set_exception(_never(error.args[0]))
                return done
            raise Unavailable(describe(error), PUBLIC) from None
        self._waiting += 1
        self._idle.clear()
        return done

    async def ping(self, topic: str) -> None:
        """Return when every partition of a topic has a leader, and brokers can be reached.

        Raises `Degraded` while some have none, since the others take records, else `Unavailable`.
        """
        if self._fatal is not None:
            raise Unavailable(self._fatal, PUBLIC)
        if not self._thread.is_alive():
            raise Unavailable("Kafka's reports are not taken any more: restart this process")
        about = (await reach(self._producer, self._bootstrap, topic)).topics[topic]
        if about.error is not None:
            if about.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise Unavailable(f"Kafka has no topic {topic}: run `chat4all migrate`", PUBLIC)
            raise Unavailable(f"topic {topic}: {describe(about.error)}", PUBLIC)
        lacking = [one.id for one in about.partitions.values() if one.leader < 0]
        if len(lacking) == len(about.partitions):
            raise Unavailable(f"topic {topic}: no partition has a leader")
        if lacking:
            numbers = ", ".join(map(str, sorted(lacking)))
            raise Degraded(f"topic {topic}: no leader for partitions {numbers}, which take nothing")

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has. Raises `Unavailable`."""
        about = (await metadata_of(self._producer, self._bootstrap, topic)).topics[topic]
        if about.error is not None:
            raise Unavailable(f"topic {topic}: {describe(about.error)}", PUBLIC)
        return len(about.partitions)

    async def close(self) -> None:
        """Wait for outstanding reports, then end."""
        if self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._deadline):
                    await self._idle.wait()
        self._closing = True
        await asyncio.to_thread(self._thread.join)

    def _report(
        self, done: "asyncio.Future[Delivered]", error: KafkaError | None, message: Message
    ) -> None:
        self._reports.append((done, error, message))

    def _serve(self) -> None:
        """Take reports for ever (a thread): one wake-up of the loop for all that came together."""
        while not self._closing:
            try:
                self._producer.poll(POLL_SECONDS)
            except Exception:
                # Of a callback, the logger's for instance. Without this thread nobody would learn
                # any more that records are durable.
                _log.exception("serving Kafka's reports fails")
                time.sleep(POLL_SECONDS)
            if self._reports:
                reports, self._reports = self._reports, []
                self._loop.call_soon_threadsafe(self._settle, reports)

    def _settle(self, reports: list[_Report]) -> None:
        self._waiting -= len(reports)
        if self._waiting == 0:
            self._idle.set()
        for done, error, message in reports:
            if done.done():
                continue  # its caller is gone
            if error is not None:
                done.set_exception(
                    _never(error)
                    if error.code() in _NEVER
                    else OutcomeUnknown(describe(error), NOT_CONFIRMED)
                )
            else:
                kind, stamp = message.timestamp()
                offset = message.offset()
                done.set_result(
                    Delivered(
                        message.partition() or 0,
                        -1 if offset is None else offset,
                        stamp if kind == TIMESTAMP_LOG_APPEND_TIME else None,
                    )
                )

    def _take_error(self, error: KafkaError) -> None:
        """Note a fatal error (in the thread); others are temporary, and logged by the library."""
        if error.fatal() and self._fatal is None:
            self._fatal = describe(error)
            self._loop.call_soon_threadsafe(self._on_fatal, self._fatal)


def _never(error: KafkaError) -> NotAccepted:
    return NotAccepted(f"the message log (Kafka) does not take this record: {error.str()}")
