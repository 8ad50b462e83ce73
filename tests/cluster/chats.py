"""Chats on a cluster: writing through its gateways or directly to the log, and the checks."""

import asyncio
import json
import random
import signal
import threading
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from chat4all.adapters.cassandra import CassandraDeadLetters, CassandraSession, Contact
from chat4all.adapters.kafka import partition_of
from chat4all.adapters.kafka.feed import HEARTBEAT
from chat4all.domain.ids import LogPosition
from chat4all.domain.records import DeadLetter
from engines import CassandraNode, KafkaBroker
from tests.checker import Sent, check_history
from tests.cluster.cassandra import Asking
from tests.cluster.services import PARTITIONS, Cluster, Service, a_cluster, all_ready
from tests.databases import Databases
from tests.faults.running import call, until, whole_history

PEOPLE = ("bruno", "ana", "carla")
PASSWORD = "long enough"


class Chats:
    """Three people in as many chats as wanted, two gateways, and routers that come and go."""

    def __init__(self, cluster: Cluster, kafka: KafkaBroker, contact: Contact) -> None:
        self._cluster = cluster
        self.bootstrap = kafka.address
        self.topic = cluster.topic
        self._contact = contact
        self.cassandra = Asking(contact)
        self._group = Consumer(self._client() | {"group.id": cluster.topic})
        self._producer = Producer(self._client() | {"compression.type": "gzip"})
        services = [cluster.service(what) for what in ("metadata", "gateway", "gateway")]
        self.gateways = services[1:]
        for service in services:
            service.start()
        all_ready(services)
        self.tokens = {name: self._sign_up(name) for name in PEOPLE}
        self.sent: dict[str, dict[str, Sent]] = defaultdict(lambda: defaultdict(Sent))
        """What was sent, by chat and sender."""

    def close(self) -> None:
        self._group.close()
        del self._producer
        self.cassandra.close()

    def router(self, *faults: str, events: str | None = None) -> Service:
        """Return a router that is not started yet; `events` is the topic it announces on."""
        found = self._cluster.service("router", *faults)
        if events is not None:
            found.environment["CHAT4ALL_KAFKA_TOPIC_EVENTS"] = events
        return found

    @contextmanager
    def gateway(self, *faults: str) -> Iterator[Service]:
        """Start another gateway for a while."""
        found = self._cluster.service("gateway", *faults).start()
        try:
            until(found.ready, 60)
            yield found
        finally:
            found.stop(signal.SIGKILL)
            self._cluster.services.remove(found)

    def end_routers(self) -> None:
        """End every router, and skip records that none could route: the next test starts fresh."""
        for service in self._cluster.services:
            if service.what == "router" and service.process is not None:
                service.stop()
        if not self.is_routed():
            patiently(self._passed_over)

    def chat(self) -> str:
        """Make a chat of all people."""
        group = {"type": "group", "members": list(PEOPLE[1:])}
        url = f"{self.gateways[0].url}/v1/conversations"
        status, body = call("POST", url, group, self.tokens[PEOPLE[0]])
        assert status == 201, body
        return str(body["conversation_id"])

    def chat_in_each_partition(self) -> dict[int, str]:
        """Make chats until there is one in every partition."""
        found: dict[int, str] = {}
        while len(found) < PARTITIONS:
            chat = self.chat()
            found.setdefault(partition_of(chat.encode(), PARTITIONS), chat)
        return found

    def send(self, chat: str, sender: str, gateway: int = 0, message_id: str = "") -> None:
        """Send one message, with retries until it is acknowledged."""
        own = message_id or str(uuid.uuid4())
        body = {"chat_id": chat, "content": f"{sender} {own}", "message_id": own}
        url = f"{self.gateways[gateway].url}/v1/messages"
        sent = self.sent[chat][sender]
        sent.sends(body["content"], own)

        def accepted() -> bool:
            status, answer = call("POST", url, body, self.tokens[sender])
            assert status in (202, 503), answer
            assert answer["message_id"] == own
            return status == 202

        until(accepted, 60)
        if own not in sent.acknowledged:
            sent.is_accepted(body["content"], own)

    def produce(
        self, values: Sequence[bytes | None], key: bytes, partition: int | None = None
    ) -> list[LogPosition]:
        """Append records to the log directly: in one batch, if they are few."""
        done: list[LogPosition] = []

        def report(error: object, message: Message) -> None:
            assert error is None, error
            done.append(LogPosition(0, message.partition() or 0, message.offset() or 0))

        where = partition_of(key, PARTITIONS) if partition is None else partition
        for value in values:
            self._producer.produce(self.topic, value, key, where, on_delivery=report)
        assert self._producer.flush(30) == 0
        assert len(done) == len(values)
        return done

    def read(self, chat: str, reader: str = PEOPLE[0], gateway: int = 0) -> list[dict[str, Any]]:
        """Return a whole history."""
        return whole_history(self.gateways[gateway].url, chat, self.tokens[reader])

    def until_routed(self, router: Service) -> None:
        """Return when all of the log is committed; AssertionError when the router has stopped."""

        def done() -> bool:
            if self.is_routed():
                return True
            trouble = stopped(router)
            assert not trouble, trouble
            return False

        patiently(done)

    def is_routed(self) -> bool:
        # The ends last: a record that is moved is appended before its own offset is committed.
        committed = self._group.committed(self._places(), timeout=10)
        return all(place.offset == self._end(place) for place in committed)

    def check(self, *chats: str) -> None:
        """Every acknowledged message once, in one place, for every reader, gateway and table."""
        announced = self._announced()
        for chat in chats:
            readings = [self.read(chat, who, g) for who in PEOPLE for g in range(2)]
            # Whether others have read it may change between two readings.
            histories = [[m | {"status": ""} for m in reading] for reading in readings]
            check_history(chat, self.sent[chat], histories)
            history = readings[0]
            numbers = {(m["message_id"], m["sender_id"]): m["seq"] for m in history}
            assert self._ids(chat) == numbers, "a message cannot be found by its id"
            last = {m["sender_id"]: m["seq"] for m in history}
            found = self._markers(chat)
            assert {who: found.get(who, 0) >= last[who] for who in last} == dict.fromkeys(
                last, True
            )
            wanted = {m["seq"]: {m["message_id"]} for m in history}
            assert announced[chat] == wanted, "not every message was announced with its number"

    def letters(self) -> list[DeadLetter]:
        async def ask() -> Sequence[DeadLetter]:
            session = CassandraSession(self._contact)
            try:
                return await CassandraDeadLetters(session).all(10_000)
            finally:
                await session.close()

        return list(asyncio.run(ask()))

    def _passed_over(self) -> bool:
        ends = [
            TopicPartition(place.topic, place.partition, self._end(place))
            for place in self._places()
        ]
        try:
            self._group.commit(offsets=ends, asynchronous=False)
        except KafkaException:  # one that was killed is a member until its session is over
            return False
        return True

    def _places(self) -> list[TopicPartition]:
        return [TopicPartition(self.topic, number) for number in range(PARTITIONS)]

    def _end(self, place: TopicPartition) -> int:
        return int(self._group.get_watermark_offsets(place, timeout=10)[1])

    def _client(self) -> dict[str, Any]:
        return {"bootstrap.servers": self.bootstrap, "enable.auto.commit": False, "log_level": 2}

    def _sign_up(self, name: str) -> str:
        url = self.gateways[0].url
        user = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        status, body = call("POST", f"{url}/v1/users", user)
        assert status == 201, body
        form = {"username": name, "password": PASSWORD}
        status, body = call("POST", f"{url}/token", form=form)
        assert status == 200, body
        return str(body["access_token"])

    def _ids(self, chat: str) -> dict[tuple[str, str], int]:
        slots = ", ".join(map(str, range(16)))
        rows = self.cassandra.execute(
            "SELECT message_id, sender_id, seq FROM message_ids "
            f"WHERE conversation_id = {chat} AND slot IN ({slots})"
        )
        return {(str(message_id), sender): seq for message_id, sender, seq in rows}

    def _markers(self, chat: str) -> dict[str, int]:
        rows = self.cassandra.execute(
            f"SELECT username, read_seq FROM read_markers WHERE conversation_id = {chat}"
        )
        return {name: read or 0 for name, read in rows}

    def _announced(self) -> dict[str, dict[int, set[str]]]:
        """Return, by chat and number, the ids that were announced with it."""
        found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        topic = f"{self.topic}-events"
        reader = Consumer(self._client() | {"group.id": "nobody", "enable.partition.eof": False})
        left: dict[int, int] = {}
        for number in range(PARTITIONS):
            place = TopicPartition(topic, number)
            first, end = reader.get_watermark_offsets(place, timeout=10)
            if end > first:
                left[number] = end
        reader.assign([TopicPartition(topic, number, 0) for number in left])
        while left:
            message = reader.poll(10)
            assert message is not None
            assert message.error() is None, message.error()
            if message.key() != HEARTBEAT:
                for event in json.loads(message.value() or b""):
                    if event["type"] == "message":
                        m = event["message"]
                        found[m["conversation_id"]][m["seq"]].add(m["message_id"])
            if (message.offset() or 0) + 1 >= left.get(message.partition() or 0, 0):
                left.pop(message.partition() or 0, None)
        reader.close()
        return found


class Talk:
    """All people write at once, each from a thread of its own, into chats taken by lot."""

    def __init__(self, on: Chats, chats: Sequence[str], seed: int) -> None:
        self._on = on
        self._chats = chats
        self._ending = threading.Event()
        self.sent = 0
        self._failed: list[BaseException] = []
        self._threads = [
            threading.Thread(
                target=self._write, args=(who, number % 2, random.Random(seed + number))
            )
            for number, who in enumerate(PEOPLE)
        ]

    def _write(self, who: str, gateway: int, chance: random.Random) -> None:
        try:
            while not self._ending.is_set():
                self._on.send(chance.choice(self._chats), who, gateway)
                self.sent += 1
                time.sleep(0.03)  # as people do: what they write is read again by the checker
        except BaseException as error:
            self._failed.append(error)

    def __enter__(self) -> "Talk":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive()
        assert not self._failed, self._failed


def patiently(condition: Callable[[], bool]) -> None:
    """Wait for a condition that is expensive to check."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(0.1)


def stopped(router: Service) -> str:
    """Return why a router has stopped for good; nothing while it has not."""
    try:
        _, ready = call("GET", f"{router.url}/health/ready")
    except OSError:
        return ""
    trouble = str(ready["dependencies"]["router"].get("error", ""))
    return trouble if trouble.startswith("the router has stopped") else ""


def batches(router: Service) -> int:
    """Return how many batches a router has routed; none while it does not answer."""
    try:
        with urllib.request.urlopen(f"{router.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0
    name = "chat4all_router_batch_seconds_count"
    return sum(round(float(line.split()[-1])) for line in lines if line.startswith(name))


@contextmanager
def chats_on(
    folder: Path, kafka: KafkaBroker, cassandra: CassandraNode, databases: Databases
) -> Iterator[Chats]:
    """Make a cluster without a router."""
    with a_cluster(folder, kafka, cassandra, databases) as cluster:
        cluster.migrate()
        found = Chats(cluster, kafka, Contact([cassandra.address], cluster.topic, cassandra.port))
        try:
            yield found
        finally:
            found.close()
