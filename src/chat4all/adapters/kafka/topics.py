"""The topics: created once, adopted only as they would be created, and identified by id."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from chat4all.adapters.kafka.connection import client_config, describe
from chat4all.adapters.kafka.inspecting import KafkaInspection
from chat4all.adapters.kafka.reachability import PUBLIC, reach
from chat4all.adapters.kafka.topic_settings import TopicFacts, alter_command, differences
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import StartRefused, Unavailable
from chat4all.domain.records import Epoch

T = TypeVar("T")

ASK_SECONDS = 10.0
APPEAR_SECONDS = 10.0
"""How long a new topic may be unknown to a broker."""

END_SECONDS = 1.0
"""How long one partition is asked for its end: one without a leader must not take all the time."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the broker has it."""

    topic_id: str
    partitions: int


def topic_trouble(about: Topic | None, epoch: Epoch) -> str | None:
    """Return why a topic is not the one that an epoch is (EXACTNESS 10); None when it is."""
    if about is None:
        return f"the log is gone: Kafka has no topic {epoch.topic}"
    if about.topic_id != epoch.topic_id:
        return f"{epoch.topic} is not the topic that the log was: it was remade"
    if about.partitions != epoch.partitions:
        return f"{epoch.topic} has {about.partitions} partitions instead of {epoch.partitions}"
    return None


def offset_trouble(offset: int, first: int, end: int) -> str | None:
    """Return what is wrong with a committed offset, negative for none (EXACTNESS 8).

    `first` is the offset of the log's first record, `end` that of the next one.
    """
    if offset < 0:
        return "no offset is committed"
    if offset < first:
        return f"records {offset} to {first - 1} are gone unread"
    if offset > end:
        return f"the log ends at {end}, and {offset} is committed: it was cut"
    return None


class Topics:
    """Finds and creates topics of a Kafka cluster, off the event loop."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin = AdminClient(client_config(bootstrap, quiet=True))
        self._askers: dict[str, Consumer] = {}

    async def find(self, topic: str) -> Topic | None:
        """Return a topic; None when there is none of this name."""
        answers = self._admin.describe_topics(TopicCollection([topic]), request_timeout=ASK_SECONDS)
        try:
            about = await _answer(answers[topic])
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise await self._failure(error) from None
        return Topic(str(about.topic_id), len(about.partitions))

    async def make(
        self,
        topic: str,
        partitions: int,
        replicas: int,
        settings: Mapping[str, str],
        *,
        may_have_more: bool = False,
        added: Collection[str] = (),
    ) -> Topic:
        """Create a topic unless it exists, and return it. Safe when two do so at once.

        Raises `StartRefused` for one that exists and differs from what would have been created;
        `may_have_more`: it may have more partitions. Settings that were `added` by a later release
        are set where nobody has given them to the topic.
        """
        new = NewTopic(topic, partitions, replicas, config=dict(settings))
        try:
            await _answer(self._admin.create_topics([new], request_timeout=ASK_SECONDS)[topic])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise await self._failure(error) from None
            await self._add_settings(topic, {name: settings[name] for name in added})
            await self._check(topic, partitions, replicas, settings, may_have_more=may_have_more)
        return await _until_known(lambda: self._must_find(topic))

    async def ends(
        self, topic: str, partitions: Iterable[int], seconds: float = ASK_SECONDS
    ) -> dict[int, tuple[int, int]]:
        """Return the offsets of each partition's first record and of the next one.

        Partitions without a leader are left out, unless no partition answers.
        """
        try:
            return await asyncio.to_thread(self._ends, topic, partitions, seconds)
        except KafkaException as error:
            raise await self._failure(error) from None

    async def committed(
        self, topic: str, partitions: Iterable[int], group: str, seconds: float = ASK_SECONDS
    ) -> dict[int, int]:
        """Return a group's offset in each partition; negative where it has none.

        Not asked by a member: its requests wait while the group waits for another member.
        """
        if group not in self._askers:
            self._askers[group] = self._new_outsider(group)
        places = [TopicPartition(topic, number) for number in partitions]
        try:
            found = await asyncio.to_thread(self._askers[group].committed, places, timeout=seconds)
            _check_places(found)
        except KafkaException as error:
            raise await self._failure(error) from None
        return {place.partition: place.offset for place in found}

    async def begin(
        self, topic: str, partitions: int, group: str, *, is_store_new: bool = False
    ) -> None:
        """Commit a group's first offsets where it has none, as nothing was read yet.

        Raises `StartRefused` when a partition has lost records that no consumer can have read, or
        has some that the group has read for another store than the one that `is_store_new`.
        """
        await _until_known(
            lambda: asyncio.to_thread(self._begin, topic, partitions, group, is_store_new)
        )

    async def _check(
        self,
        topic: str,
        partitions: int,
        replicas: int,
        settings: Mapping[str, str],
        *,
        may_have_more: bool,
    ) -> None:
        """Raise `StartRefused` for a topic that differs from what `make` would have created."""
        facts = await _until_known(lambda: self._facts(topic))
        troubles, advice = [], []
        most = math.inf if may_have_more else partitions
        if not partitions <= facts.partitions <= most:
            troubles.append(f"it has {facts.partitions} partitions instead of {partitions}")
        if facts.replicas != replicas:
            troubles.append(f"it has {facts.replicas} copies instead of {replicas}")
        if troubles:
            advice.append(
                "set CHAT4ALL_KAFKA_PARTITIONS and CHAT4ALL_KAFKA_REPLICAS to what it has, or "
                "delete it if nobody needs what is in it"
            )
        if found := differences(facts, settings):
            troubles += map(str, found)
            advice.append(alter_command(self._bootstrap, topic, found))
        if troubles:
            raise StartRefused(
                f"topic {topic} is not as `chat4all migrate` makes it ({'; '.join(troubles)}): "
                f"{'; '.join(advice)}; then run `chat4all migrate` again"
            )

    async def _add_settings(self, topic: str, settings: Mapping[str, str]) -> None:
        """Give a topic the settings that it does not have of its own."""
        own = (await _until_known(lambda: self._facts(topic))).own
        missing = {name: value for name, value in settings.items() if name not in own}
        if not missing:
            return
        new = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in missing.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=new)
        altered = self._admin.incremental_alter_configs([resource], request_timeout=ASK_SECONDS)
        try:
            await _answer(altered[resource])
        except KafkaException as error:
            raise await self._failure(error) from None

        async def known() -> None:
            # The controller has them; brokers learn of them later.
            if missing.keys() - (await self._facts(topic)).own:
                raise Unavailable(f"Kafka: the settings of topic {topic} are not known yet")

        await _until_known(known)

    async def _facts(self, topic: str) -> TopicFacts:
        facts = await KafkaInspection(self._bootstrap).topic(topic)
        if facts is None:
            raise Unavailable(f"Kafka: topic {topic} does not exist")
        return facts

    async def _failure(self, error: KafkaException) -> Unavailable:
        """Describe an error in a sentence; when no broker reported it, say why none answers."""
        if error.args[0].code() > 0:
            return Unavailable(describe(error), PUBLIC)
        try:
            await reach(self._admin, self._bootstrap)
        except Unavailable as cause:
            return cause
        return Unavailable(describe(error), PUBLIC)

    async def _must_find(self, topic: str) -> Topic:
        about = await self.find(topic)
        if about is None:
            raise Unavailable(f"Kafka: topic {topic} does not exist")
        return about

    @cached_property
    def _outsider(self) -> Consumer:
        """A consumer that joins no group and commits nothing, though it must name a group.

        It queries where a log ends, repeatedly; admin requests for that may make librdkafka (2.16)
        abort the process when a broker dies.
        """
        return self._new_outsider("chat4all-nobody")

    def _new_outsider(self, group: str) -> Consumer:
        config = {"group.id": group, "enable.auto.commit": False}
        return Consumer(client_config(self._bootstrap, quiet=True) | config)

    def _ends(
        self, topic: str, partitions: Iterable[int], seconds: float
    ) -> dict[int, tuple[int, int]]:
        deadline = time.monotonic() + seconds
        bounds = {}
        failed = None
        for number in partitions:
            left = min(max(0.1, deadline - time.monotonic()), END_SECONDS)
            place = TopicPartition(topic, number)
            try:
                ends = self._outsider.get_watermark_offsets(place, timeout=left)
                if ends is None:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            except KafkaException as error:
                failed = error
            else:
                bounds[number] = ends
        if failed is not None and not bounds:
            raise failed
        return bounds

    def _begin(self, topic: str, partitions: int, group: str, is_store_new: bool) -> None:
        consumer = Consumer(
            client_config(self._bootstrap) | {"group.id": group, "enable.auto.commit": False}
        )
        places = [TopicPartition(topic, number) for number in range(partitions)]
        try:
            committed = consumer.committed(places, timeout=ASK_SECONDS)
            _check_places(committed)
            for place in committed if is_store_new else ():
                if place.offset > 0:
                    first, _ = consumer.get_watermark_offsets(place, timeout=ASK_SECONDS)
                    if place.offset > first:
                        raise self._read_already(place, first, group)
            missing = [place for place in committed if place.offset < 0]
            for place in missing:
                first, _ = consumer.get_watermark_offsets(place, timeout=ASK_SECONDS)
                if first > 0:
                    raise StartRefused(
                        f"group {group} has no offset in partition {place.partition} of {topic}, "
                        f"and records below {first} are gone: say from where it is to read"
                    )
            if missing:
                zeros = [TopicPartition(topic, place.partition, 0) for place in missing]
                consumer.commit(offsets=zeros, asynchronous=False)
        except KafkaException as error:
            raise Unavailable(describe(error), PUBLIC) from None
        finally:
            consumer.close()

    def _read_already(self, place: TopicPartition, first: int, group: str) -> StartRefused:
        return StartRefused(
            f"the keyspace has no messages, and group {group} has read records {first} to "
            f"{place.offset - 1} in partition {place.partition} of {place.topic}, which would be "
            "missing for ever: if this keyspace is to have them, stop all routers, run "
            f"`kafka-consumer-groups.sh --bootstrap-server {self._bootstrap} --group {group} "
            f"--topic {place.topic} --reset-offsets --to-earliest --execute` (see step 2 of *The "
            "store was lost* in docs/operations/backup-cluster.md), and then `chat4all migrate` "
            "again; else name the keyspace that has them, or another topic and group"
        )


def _check_places(places: Iterable[TopicPartition]) -> None:
    """Raise the error of a partition: its offset is unknown then, and not missing."""
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)


async def _answer(future: "Future[T]") -> T:
    return await asyncio.wrap_future(future)


async def _until_known(step: Callable[[], Awaitable[T]]) -> T:
    """Do a step until it succeeds: brokers learn of a new topic at different times."""
    return await retry(step, Backoff(0.1, 0.1), seconds=APPEAR_SECONDS)
