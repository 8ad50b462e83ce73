"""What `chat4all doctor` looks at in a cluster.

A check is an asynchronous generator of findings; it changes nothing. What it raises as
`Unavailable` is a problem, in a sentence that says what to do.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chat4all.adapters.cassandra import CassandraEpochs, CassandraInspection, CassandraSession
from chat4all.adapters.crypto import check_secret
from chat4all.adapters.kafka import (
    NO_LOG,
    GroupState,
    KafkaGroup,
    KafkaInspection,
    RoutersWatch,
    TopicFacts,
    log_settings,
)
from chat4all.adapters.kafka.topics import offset_trouble
from chat4all.adapters.metadata_http import SECRETS_DIFFER, MetadataService, SameSecret
from chat4all.adapters.sql import Database
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.server_schema import check_revision
from chat4all.adapters.sql.urls import parse_database_url
from chat4all.doctor.checks import Finding, Status
from chat4all.doctor.running import get, reason_of
from chat4all.domain.errors import NotFound, StartRefused, Unavailable
from chat4all.domain.records import Epoch
from chat4all.processes.cluster import contact_of
from chat4all.processes.directories import check_credential, proofs
from chat4all.settings import Settings
from chat4all.wire import internal

ASK_SECONDS = 5.0

MOVES_SECONDS = 5.0
"""Within this routers that are behind must have stored something."""

CLOCKS_MS = 500
"""How far clocks may be apart; a gateway that is further ahead of Kafka is not ready."""

LETTERS_MAX = 1_000
"""Dead letters of one partition that are looked at."""

_WORSE = {"cleanup.policy", "min.insync.replicas", "unclean.leader.election.enable"}
"""Settings of the log that lose records; the others cost speed or age."""


@dataclass(slots=True)
class Cluster:
    """What is examined, and what earlier checks found out. `services`: URLs to be asked."""

    settings: Settings
    services: Sequence[str]
    session: CassandraSession
    kafka_answers: bool = field(default=False, init=False)
    cassandra_answers: bool = field(default=False, init=False)
    epoch: Epoch | None = field(default=None, init=False)


Check = Callable[[Cluster], AsyncIterator[Finding]]


async def examine(settings: Settings, services: Sequence[str]) -> list[tuple[str, Finding]]:
    """Run every check, one after another; return the findings with the names of their checks."""
    it = Cluster(settings, services, CassandraSession(contact_of(settings.cassandra)))
    try:
        return [
            (check.__name__.replace("_", " "), finding)
            for check in CHECKS
            for finding in await run(check, it)
        ]
    finally:
        await it.session.close()


async def run(check: Check, it: Cluster) -> list[Finding]:
    """Return what a check finds; one that cannot look has found something."""
    found = []
    try:
        async for finding in check(it):
            found.append(finding)  # noqa: PERF401 - those before an error count
    except (Unavailable, StartRefused) as error:
        found.append(Finding(Status.PROBLEM, str(error)))
    return found


async def secrets(it: Cluster) -> AsyncIterator[Finding]:
    """Look whether the two secrets are there and long enough."""
    if it.settings.secret_key is None:
        yield Finding(
            Status.WARNING,
            "SECRET_KEY is not set here",
            "gateways and metadata services need it, the same for all",
        )
    else:
        check_secret(it.settings.secret_key.get_secret_value().encode())
        yield Finding(Status.OK, "SECRET_KEY is long enough")
    if it.settings.service_credential is None:
        yield Finding(
            Status.WARNING,
            "CHAT4ALL_SERVICE_CREDENTIAL is not set here",
            "gateways and metadata services need it, the same for all",
        )
    else:
        check_credential(it.settings.gateway.credential)
        yield Finding(Status.OK, "CHAT4ALL_SERVICE_CREDENTIAL can be used")


async def kafka(it: Cluster) -> AsyncIterator[Finding]:
    """Look whether Kafka answers, and is where it says that it is."""
    brokers = await KafkaInspection(it.settings.kafka_bootstrap).brokers()
    it.kafka_answers = True
    named = ", ".join(map(str, brokers))
    yield Finding(
        Status.OK, f"{it.settings.kafka_bootstrap} answers; brokers that can be reached: {named}"
    )


async def cassandra(it: Cluster) -> AsyncIterator[Finding]:
    """Look whether Cassandra answers, has the tables, and keeps what it acknowledges."""
    inspection = CassandraInspection(it.session)
    node = await inspection.node()
    it.cassandra_answers = True
    yield Finding(Status.OK, f"Cassandra {node.release} answers")
    keyspace = it.settings.cassandra_keyspace
    missing = await inspection.missing_steps()
    if missing:
        says = f"keyspace {keyspace} misses {', '.join(missing)}"
        yield Finding(Status.PROBLEM, says, "run `chat4all migrate`")
        return
    yield Finding(Status.OK, f"keyspace {keyspace} is up to date")
    if await inspection.replicas(keyspace) == 1 and not node.keeps_its_word:
        sync = node.settings.get("commitlog_sync")
        yield Finding(
            Status.WARNING,
            f"keyspace {keyspace} has one copy, and commitlog_sync is {sync}: a node that is "
            "killed forgets what it acknowledged last",
            "set `commitlog_sync: group` in cassandra.yaml, or have three nodes and "
            "CHAT4ALL_CASSANDRA_REPLICAS=3",
        )
    it.epoch = await CassandraEpochs(it.session).newest()
    if it.epoch is None:
        yield Finding(Status.PROBLEM, NO_LOG)


async def topics(it: Cluster) -> AsyncIterator[Finding]:
    """Look whether the topics are those of the log, with the settings that it relies on."""
    if not it.kafka_answers:
        return
    inspection, settings = KafkaInspection(it.settings.kafka_bootstrap), it.settings
    for name in (settings.kafka_topic, settings.kafka_topic_events):
        facts = await inspection.topic(name)
        if facts is None:
            yield Finding(Status.PROBLEM, f"Kafka has no topic {name}: run `chat4all migrate`")
            continue
        copies = "1 copy" if facts.replicas == 1 else f"{facts.replicas} copies"
        yield Finding(Status.OK, f"{name} has {facts.partitions} partitions, {copies} of each")
        if facts.leaderless:
            says = f"{name}: {facts.leaderless} partitions have no leader"
            yield Finding(Status.PROBLEM, says, "start the brokers that have them")
        if facts.short:
            says = f"{name}: {facts.short} partitions have copies that are behind or away"
            yield Finding(Status.WARNING, says, "look at the brokers; another loss stops sending")
        if name == settings.kafka_topic:
            for finding in _of_the_log(it, facts):
                yield finding


def _of_the_log(it: Cluster, facts: TopicFacts) -> list[Finding]:
    """Compare the log's topic with its row and with its settings."""
    name, found = it.settings.kafka_topic, []
    if it.epoch is not None:
        if it.epoch.topic != name:
            says = f"the log is topic {it.epoch.topic}, and KAFKA_TOPIC_CHAT_MESSAGES is {name}"
            found.append(Finding(Status.PROBLEM, says, "name the log's topic"))
        elif it.epoch.topic_id != facts.topic_id:
            says = f"{name} is not the topic that the log was: it was remade"
            do = "the log and the store are no pair any more: use another keyspace and group"
            found.append(Finding(Status.PROBLEM, says, do))
        elif it.epoch.partitions != facts.partitions:
            says = f"{name} has {facts.partitions} partitions instead of {it.epoch.partitions}"
            do = "no router goes on: a conversation's messages would be in two of them"
            found.append(Finding(Status.PROBLEM, says, do))
    wanted = log_settings(it.settings.log_retention_days, facts.replicas)
    for setting, value in wanted.items():
        if (has := facts.settings.get(setting)) != value:
            found.append(
                Finding(
                    Status.PROBLEM if setting in _WORSE else Status.WARNING,
                    f"{name}: {setting} is {has} and should be {value}",
                    f"`kafka-configs.sh --bootstrap-server {it.settings.kafka_bootstrap} --alter "
                    f"--topic {name} --add-config {setting}={value}`",
                )
            )
    return found


async def routers(it: Cluster) -> AsyncIterator[Finding]:
    """Look whether what is accepted is processed: members, offsets, lag."""
    if not it.kafka_answers or it.epoch is None:
        return
    epoch, name = it.epoch, it.settings.kafka_group
    group = KafkaGroup(it.settings.kafka_bootstrap, name)
    state = await group.state(epoch, ASK_SECONDS)
    for partition, (first, end) in state.bounds.items():
        trouble = offset_trouble(state.committed.get(partition, -1), first, end)
        if trouble is not None:
            yield Finding(
                Status.PROBLEM,
                f"partition {partition} of {epoch.topic}: {trouble}",
                "no router goes on there: look what happened to the log or to the group's offsets, "
                "then commit the offset from which to go on with kafka-consumer-groups.sh",
            )
    watch = RoutersWatch(group, name, stuck_seconds=MOVES_SECONDS)
    deadline = time.monotonic() + MOVES_SECONDS + 1
    wrong = watch.judge(state)
    begun = state.committed
    while state.members and _behind(state) and state.committed == begun and not wrong:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
        state = await group.state(epoch, ASK_SECONDS)
        wrong = watch.judge(state)
    if wrong is not None:
        yield Finding(Status.PROBLEM, wrong)
        return
    said = f"routers: {len(state.members)}; messages that wait: {_behind(state)}"
    lag = ", ".join(f"{partition}: {count}" for partition, count in state.lag.items() if count)
    yield Finding(Status.OK, said + (f"; by partition: {lag}" if lag else ""))


def _behind(state: GroupState) -> int:
    return sum(state.lag.values())


async def dead_letters(it: Cluster) -> AsyncIterator[Finding]:
    """Look for what was put aside and nobody has replayed."""
    if it.epoch is None:
        return
    count = await CassandraInspection(it.session).letters_waiting(LETTERS_MAX)
    if count:
        says = f"dead letters that were not replayed: {count}"
        yield Finding(Status.WARNING, says, "see `chat4all dead-letters list`")
    else:
        yield Finding(Status.OK, "none waits to be replayed")


async def database(it: Cluster) -> AsyncIterator[Finding]:
    """Look whether the metadata service's database answers and has its tables."""
    if it.settings.database_url is None:
        return
    where = parse_database_url(it.settings.database_url.get_secret_value())
    if isinstance(where, Path) and not where.exists():
        yield Finding(Status.WARNING, f"{where} is not there yet", "the metadata service makes it")
        return
    opened = Database(where) if isinstance(where, Path) else ServerDatabase(where)
    try:
        await check_revision(opened)
    finally:
        await opened.close()
    shown = where if isinstance(where, Path) else where.shown
    yield Finding(Status.OK, f"{shown} is up to date")


async def metadata_service(it: Cluster) -> AsyncIterator[Finding]:
    """Look whether the metadata service takes our credential and has our SECRET_KEY."""
    if it.settings.service_credential is None:
        return
    service = MetadataService(
        it.settings.metadata_url, check_credential(it.settings.gateway.credential)
    )
    try:
        await service.ask("ping", internal.Ping(), None, writes=False)
        yield Finding(Status.OK, f"{it.settings.metadata_url} takes the credential")
        if it.settings.secret_key is not None:
            try:
                proof = proofs(it.settings.keys)[0]
                same = await SameSecret(service, it.settings.metadata_url, proof).ask()
            except NotFound:
                return  # of an earlier release
            if same:
                yield Finding(Status.OK, "it has the same SECRET_KEY")
            else:
                says = SECRETS_DIFFER.format(url=it.settings.metadata_url)
                yield Finding(Status.PROBLEM, says)
    finally:
        await service.close()


async def services(it: Cluster) -> AsyncIterator[Finding]:
    """Look what the services that were named say of themselves."""
    for url in it.services:
        try:
            _, ready = await asyncio.to_thread(get, f"{url.rstrip('/')}/health/ready")
            parts = [
                (part, said["status"], said["error"])
                for part, said in ready["dependencies"].items()
                if said["error"] is not None
            ]
        except OSError as error:
            says = f"{url} does not answer ({reason_of(error)})"
            yield Finding(Status.PROBLEM, says, "start it, or see its log")
            continue
        except (ValueError, KeyError, TypeError, AttributeError):
            says = f"{url} does not answer as Chat4All does"
            yield Finding(Status.PROBLEM, says, "name a gateway, a router or a metadata service")
            continue
        for part, status, sentence in parts:
            bad = Status.WARNING if status == "degraded" else Status.PROBLEM
            yield Finding(bad, f"{url}, {part}: {sentence}")
        if not parts:
            yield Finding(Status.OK, f"{url} is ready")


async def clocks(it: Cluster) -> AsyncIterator[Finding]:
    """Look whether this machine's clock and Cassandra's agree."""
    if not it.cassandra_answers:
        return
    before = time.time_ns() // 1_000_000
    node = await CassandraInspection(it.session).node()
    after = time.time_ns() // 1_000_000
    apart = max(before - node.clock_ms, node.clock_ms - after)
    if apart > CLOCKS_MS:
        which = "behind" if node.clock_ms > after else "ahead of"
        yield Finding(
            Status.WARNING,
            f"this machine's clock is at least {apart} ms {which} Cassandra's",
            "set both right, by NTP for instance; a gateway ahead of Kafka's clock is not ready",
        )
    else:
        yield Finding(Status.OK, "this machine's and Cassandra's agree")


CHECKS: tuple[Check, ...] = (
    secrets,
    kafka,
    cassandra,
    topics,
    routers,
    dead_letters,
    database,
    metadata_service,
    services,
    clocks,
)
