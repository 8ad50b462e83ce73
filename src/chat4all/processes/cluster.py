"""The services of a cluster: the same applications as on one machine, on other adapters.

    gateway  :8000  on  Kafka (log, live feed), Cassandra, the metadata service (metadata_http)
    router   :8002  on  Kafka, Cassandra; the port is for health and metrics
    metadata :8001  on  DATABASE_URL; Kafka and Cassandra for the markers of new members

Any number of each, started in any order: what is not there yet is waited for, and `/health/ready`
says so. `chat4all migrate` makes the topics, the keyspace and the tables first.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from chat4all import __version__
from chat4all.adapters.cassandra import (
    CassandraDeadLetters,
    CassandraEpochs,
    CassandraGeneration,
    CassandraSession,
    CassandraStore,
    Contact,
)
from chat4all.adapters.kafka import (
    AwaitedLog,
    KafkaAnnouncements,
    KafkaFeed,
    KafkaGroup,
    KafkaProgress,
    RoutersWatch,
    Topics,
)
from chat4all.adapters.prometheus import GatewayMetrics, MetadataMetrics, ServiceMetrics
from chat4all.http.health import watched
from chat4all.http.problems import SLUG
from chat4all.http.server.serving import Server, listening, serve
from chat4all.ports.health import Ping
from chat4all.processes.apps import make_gateway, make_metadata, make_router_service
from chat4all.processes.cluster_router import ClusterRouter
from chat4all.processes.parts import (
    GatewayPorts,
    MetadataPorts,
    Pings,
    RouterServicePorts,
    SecurityPorts,
)
from chat4all.processes.policy import policy_of
from chat4all.settings import (
    CassandraSettings,
    FileSettings,
    GatewaySettings,
    KafkaSettings,
    Listening,
    MetadataSettings,
    RouterSettings,
)

if TYPE_CHECKING:
    from chat4all.adapters.s3 import S3Blobs

GRACE_SECONDS = 6
"""How long requests may take after SIGTERM: by then each knows what came of it, since no part is
waited for longer than 5 s."""

END_SECONDS = 9.0
"""After which a service that was told to stop ends, though Kafka's library may still wait for a
broker that does not answer, which cannot be interrupted. What is not done then is as after a
kill."""

_log = logging.getLogger(__name__)

# Imports of what deals with people are in the functions: while a router is restarted its
# conversations stand still, and these would be a third of that.


async def serve_gateway(settings: GatewaySettings) -> bool:
    """Run a gateway until told to stop; say whether that is why it ended."""
    from chat4all.adapters.crypto import BcryptPasswords
    from chat4all.adapters.pictures import LimitedPictures
    from chat4all.processes.directories import people_of_service
    from chat4all.processes.files import ping_of, scanner_at
    from chat4all.processes.keys import tokens_in_cluster

    tokens = tokens_in_cluster(settings.people.keys)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listening(settings.listening, "--port"))
        found = await stack.enter_async_context(people_of_service(settings))
        engines = await stack.enter_async_context(_engines(settings.kafka, settings.cassandra))
        blobs = await stack.enter_async_context(opened_blobs(settings.files))
        scanner = scanner_at(settings.files.clamd)
        passwords = stack.enter_context(closing(BcryptPasswords()))
        feed = KafkaFeed(settings.kafka.bootstrap, settings.kafka.topic_events)
        metrics = GatewayMetrics(__version__, SLUG)
        pings = Pings(
            engines.log.ping,
            engines.store.ping,
            found.ping,
            _routers_ping(settings.kafka, engines.log),
            feed.ping,
            found.same_secret,
            None if blobs is None else ping_of(blobs),
            None if scanner is None else ping_of(scanner),
        )
        gateway, live = make_gateway(
            GatewayPorts(
                found.people,
                found.follower,
                SecurityPorts(passwords, tokens),
                engines.log,
                engines.store,
                feed,
                KafkaAnnouncements(engines.log.producer, settings.kafka.topic_events),
                policy_of(settings.people),
                pings,
                metrics,
                CassandraGeneration(engines.session),
                LimitedPictures(),
                CassandraDeadLetters(engines.session),
                KafkaProgress(Topics(settings.kafka.bootstrap), settings.kafka.group, engines.log),
                blobs,
                settings.files.limits,
                settings.files.quota,
                settings.files.upload_rate,
                blobs if settings.files.is_public else None,
                scanner,
                has_demonstration=settings.people.is_development,
            )
        )
        await feed.open()
        stack.push_async_callback(feed.close)
        await stack.enter_async_context(live.running())
        await stack.enter_async_context(gateway.files.running())

        def end() -> None:
            live.end_streams()
            gateway.files.end_uploads()

        started = partial(_started, "gateway", settings.listening, settings.changed)
        server = Server(
            gateway.app,
            listener,
            grace_seconds=GRACE_SECONDS,
            upgrade=gateway.upgrade,
            ending=end,
        )
        return await _serve(server, metrics, pings, engines.log.failed, started)


async def serve_metadata(settings: MetadataSettings) -> bool:
    """Run a metadata service until told to stop; say whether that is why it ended."""
    from chat4all.adapters.crypto import BcryptPasswords
    from chat4all.processes.directories import people_in_database
    from chat4all.processes.keys import tokens_in_cluster

    tokens = tokens_in_cluster(settings.people.keys)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listening(settings.listening, "--metadata-port"))
        own = await stack.enter_async_context(people_in_database(settings))
        engines = await stack.enter_async_context(_engines(settings.kafka, settings.cassandra))
        passwords = stack.enter_context(closing(BcryptPasswords()))
        metrics = MetadataMetrics(__version__, SLUG)
        pings = Pings(directory=own.ping)
        metadata = make_metadata(
            MetadataPorts(
                own.people,
                SecurityPorts(passwords, tokens),
                engines.log,
                engines.store,
                KafkaAnnouncements(engines.log.producer, settings.kafka.topic_events),
                policy_of(settings.people),
                pings,
                metrics,
                own.internal,
            )
        )
        started = partial(_started, "metadata service", settings.listening, settings.changed)
        server = Server(metadata, listener, grace_seconds=GRACE_SECONDS)
        return await _serve(server, metrics, pings, engines.log.failed, started)


async def serve_router(settings: RouterSettings) -> bool:
    """Run a router until told to stop; say whether that is why it ended."""
    async with AsyncExitStack() as stack:
        # First: its port may be a part of the router's name.
        listener = stack.enter_context(
            _listening(settings.listening, "--router-port", settings.other_ports)
        )
        listening_at = replace(settings.listening, port=listener.getsockname()[1])
        engines = await stack.enter_async_context(_engines(settings.kafka, settings.cassandra))
        routing = ClusterRouter(
            settings, engines.log, engines.session, engines.store, listening_at.port
        )
        pings = Pings(engines.log.ping, engines.store.ping, router=routing.ping)
        await stack.enter_async_context(watched(pings.by_name()))
        task = asyncio.create_task(routing.run(), name="router")
        meter = ServiceMetrics(__version__, SLUG)
        app = make_router_service(RouterServicePorts(pings, meter, routing.metrics.text))
        server = Server(app, listener)
        try:
            started = partial(_started, "router", listening_at, settings.changed)
            await serve([server], task, started, end_seconds=END_SECONDS)
        finally:
            stopped_by_signal = not task.done()
            routing.stop()
            await task
        return stopped_by_signal


@dataclass(frozen=True, slots=True)
class _Engines:
    log: AwaitedLog
    session: CassandraSession
    store: CassandraStore


@asynccontextmanager
async def _engines(kafka: KafkaSettings, cassandra: CassandraSettings) -> AsyncIterator[_Engines]:
    session = CassandraSession(contact_of(cassandra))
    try:
        log = AwaitedLog(
            kafka.bootstrap,
            kafka.topic,
            CassandraEpochs(session),
            topic_events=kafka.topic_events,
        )
        async with log.open():
            yield _Engines(log, session, CassandraStore(session))
    finally:
        await session.close()


@asynccontextmanager
async def opened_blobs(settings: FileSettings) -> "AsyncIterator[S3Blobs | None]":
    """Open the store of files; None where none is set."""
    if settings.s3 is None:
        yield None
        return
    from chat4all.adapters.s3 import S3Blobs

    blobs = S3Blobs(settings.s3)
    await blobs.open()
    try:
        yield blobs
    finally:
        await blobs.close()


async def _serve(
    server: Server,
    metrics: ServiceMetrics,
    pings: Pings,
    failed: "asyncio.Future[None]",
    started: Callable[[], None],
) -> bool:
    """Serve until told to stop, or until `failed` is done; say whether it was the former."""
    metrics.watch_connections(server.connections)
    async with watched(pings.by_name()):
        await serve([server], failed, started, end_seconds=END_SECONDS)
    return not failed.done()


def _routers_ping(kafka: KafkaSettings, log: AwaitedLog) -> Ping:
    watch = RoutersWatch(KafkaGroup(kafka.bootstrap, kafka.group), kafka.group)

    async def ping() -> None:
        await watch.ping(log.epoch)

    return ping


def _listening(
    where: Listening, option: str, other_ports: int = 0
) -> AbstractContextManager[socket.socket]:
    return listening(where.host, where.port, option, other_ports)


def contact_of(settings: CassandraSettings) -> Contact:
    """Return where Cassandra is."""
    return Contact(settings.hosts, settings.keyspace, settings.port)


def _started(what: str, where: Listening, changed: Mapping[str, str]) -> None:
    _log.info(
        "started",
        extra={
            "service": what,
            "version": __version__,
            "host": where.host,
            "port": where.port,
            "settings": dict(changed),
        },
    )
