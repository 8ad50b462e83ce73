"""What is too large for Kafka or Cassandra is refused for good, and not as if they were down."""

import asyncio
from collections.abc import Sequence

import pytest
from acsylla.errors import CassErrorServerInvalidQuery
from confluent_kafka import KafkaError, KafkaException

from chat4all.adapters.cassandra import CassandraDeadLetters, CassandraSession, Contact
from chat4all.adapters.cassandra.dead_letters import BYTES_MAX
from chat4all.adapters.cassandra.session import Row, describe
from chat4all.adapters.kafka import KafkaAnnouncements, KafkaProducer
from chat4all.adapters.kafka.producer import Delivered
from chat4all.domain.errors import NotAccepted, OutcomeUnknown, Unavailable
from chat4all.domain.events import MessageStored
from chat4all.domain.ids import LogPosition
from chat4all.domain.records import DeadLetter, Headers
from chat4all.wire.events import decode_events
from tests.messages import message
from tests.records import CHATS

pytestmark = pytest.mark.anyio


async def test_a_record_that_the_library_does_not_send_is_refused_for_good() -> None:
    """Fails when it is `Unavailable`, which everybody retries."""
    producer = KafkaProducer("127.0.0.1:9")
    await producer.open()
    try:
        with pytest.raises(NotAccepted, match="too large"):
            await producer.send("t", b"k", bytes(1_040_236))
        assert producer._waiting == 0
    finally:
        await producer.close()


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, NotAccepted),
        (KafkaError.RECORD_LIST_TOO_LARGE, NotAccepted),
        (KafkaError.INVALID_RECORD, NotAccepted),
        (KafkaError._MSG_TIMED_OUT, OutcomeUnknown),
        (KafkaError.NOT_ENOUGH_REPLICAS, OutcomeUnknown),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, OutcomeUnknown),
    ],
)
async def test_what_a_broker_reports_is_told_apart(code: int, raised: type[Exception]) -> None:
    producer = KafkaProducer("127.0.0.1:9")
    done: asyncio.Future[Delivered] = asyncio.get_running_loop().create_future()
    producer._settle([(done, KafkaError(code), None)])  # type: ignore[list-item]
    with pytest.raises(raised):
        await done


class Playing:
    """The library's producer, which refuses whatever is sent to it."""

    def __init__(self, code: int) -> None:
        self._code = code

    def produce(self, *_: object, **__: object) -> None:
        raise KafkaException(KafkaError(self._code))


async def test_what_the_library_refuses_at_once_is_told_apart_too() -> None:
    producer = KafkaProducer("127.0.0.1:9")
    producer._loop = asyncio.get_running_loop()
    producer._producer = Playing(KafkaError.MSG_SIZE_TOO_LARGE)  # type: ignore[assignment]
    with pytest.raises(NotAccepted):
        await producer.send("t", b"", b"")
    producer._producer = Playing(KafkaError._STATE)  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        await producer.send("t", b"", b"")


class Narrow(KafkaProducer):
    """A topic that takes small records only, and refuses all that is sent with a large one."""

    def __init__(self, most: int) -> None:
        super().__init__("nowhere:9")
        self._most = most
        self.taken: list[tuple[bytes, bytes]] = []
        self._sent: list[tuple[asyncio.Future[Delivered], bytes, bytes]] = []

    def send(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Headers = (),
        partition: int | None = None,
    ) -> asyncio.Future[Delivered]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Delivered] = loop.create_future()
        self._sent.append((done, key, value))
        if len(self._sent) == 1:
            loop.call_soon(self._answer)
        return done

    def _answer(self) -> None:
        sent, self._sent = self._sent, []
        is_too_large = max(len(value) for _, _, value in sent) > self._most
        for done, key, value in sent:
            if is_too_large:
                done.set_exception(NotAccepted("too large"))
            else:
                self.taken.append((key, value))
                done.set_result(Delivered(0, len(self.taken), None))


async def test_of_an_event_that_is_too_large_the_key_is_announced() -> None:
    """Fails when the router waits for ever, when others are lost, or cached pages stay."""
    events = [
        MessageStored(message(1, CHATS[0])),
        MessageStored(message(1, CHATS[1], sender="x" * 2_000)),
        MessageStored(message(2, CHATS[0])),
    ]
    producer = Narrow(1_000)
    await KafkaAnnouncements(producer, "chat_events").announce(events)
    found = [(key.decode(), decode_events(value)) for key, value in producer.taken]
    assert found == [(CHATS[0], [events[0]]), (CHATS[1], []), (CHATS[0], [events[2]])]


class Noting(CassandraSession):
    """Notes what is run."""

    def __init__(self) -> None:
        self.values: list[Sequence[object]] = []

    async def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        self.values.append(values)
        return []


@pytest.mark.parametrize("where", ["key", "value", "headers"])
async def test_a_dead_letter_that_is_too_large_is_refused_before_cassandra_is_asked(
    where: str,
) -> None:
    large = {"key": b"", "value": b"", "headers": ()} | {
        where: [("a", bytes(BYTES_MAX))] if where == "headers" else bytes(BYTES_MAX + 1)
    }
    session = Noting()
    with pytest.raises(NotAccepted):
        await CassandraDeadLetters(session).add(
            [DeadLetter(LogPosition(0, 0, 1), "why", **large)]  # type: ignore[arg-type]
        )
    assert session.values == []
    await CassandraDeadLetters(session).add(
        [DeadLetter(LogPosition(0, 0, 1), "why", b"", bytes(BYTES_MAX))]
    )
    assert len(session.values) == 2


@pytest.mark.parametrize(
    ("text", "raised"),
    [
        ("Encountered an oversized mutation (17000000/16777216) for keyspace: k", NotAccepted),
        ("Batch too large", NotAccepted),
        ("unconfigured table messages", Unavailable),
    ],
)
def test_what_cassandra_refuses_for_its_size_is_told_apart(
    text: str, raised: type[Exception]
) -> None:
    found = describe(Contact(["127.0.0.1"], "k"), CassErrorServerInvalidQuery(text))
    assert type(found) is raised
