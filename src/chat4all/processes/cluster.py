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
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from starlette.types import ASGIApp

from chat4all import __version__
from chat4all.adapters.caching import WhenAliased
from chat4all.adapters.cassandra import (
    CassandraEpochs,
    CassandraSession,
    CassandraStore,
    Contact,
)
from chat4all.adapters.crypto import BcryptPasswords, JwtTokens
from chat4all.adapters.kafka import AwaitedLog, KafkaFeed, KafkaGroup, RoutersWatch
from chat4all.adapters.kafka.feed import SILENCE_SECONDS
from chat4all.adapters.prometheus import GatewayMetrics, ServiceMetrics
from chat4all.domain.errors import StartRefused
from chat4all.http.health import watched
from chat4all.http.problems import SLUG
from chat4all.http.server.serving import Server, listening, serve
from chat4all.ports.health import Ping
from chat4all.processes.apps import make_gateway, make_metadata, make_router_service
from chat4all.processes.cluster_router import ClusterRouter
from chat4all.processes.directories import people_in_database, people_of_service
from chat4all.processes.parts import (
    GatewayPorts,
    MetadataPorts,
    RouterServicePorts,
    SecurityPorts,
)
from chat4all.processes.policy import policy_of
from chat4all.settings import (
    CassandraSettings,
    GatewaySettings,
    KafkaSettings,
    Listening,
    MetadataSettings,
    RouterSettings,
    TokenKeys,
)
from chat4all.usecases.versions import ConversationVersions

GRACE_SECONDS = 6
"""How long requests may take after SIGTERM: by then each knows what came of it, since no part is
waited for longer than 5 s."""

END_SECONDS = 9.0
"""After which a service that was told to stop ends, though Kafka's library may still wait for a
broker that does not answer, which cannot be interrupted. What is not done then is as after a
kill."""

_log = logging.getLogger(__name__)


async def serve_gateway(settings: GatewaySettings) -> bool:
    """Run a gateway until told to stop; say whether that is why it ended."""
    tokens = _tokens(settings.people.keys)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listening(settings.listening, "--port"))
        found = await stack.enter_async_context(people_of_service(settings))
        engines = await stack.enter_async_context(_engines(settings.kafka, settings.cassandra))
        passwords = BcryptPasswords()
        stack.callback(passwords.close)
        feed = KafkaFeed(settings.kafka.bootstrap, settings.kafka.topic_events)
        versions = ConversationVersions(SILENCE_SECONDS)
        found.follower.add_listener(WhenAliased(versions.supersede_all))
        metrics = GatewayMetrics(__version__, SLUG)
        pings = {
            "log": engines.log.ping,
            "store": engines.store.ping,
            "directory": found.ping,
            "router": _routers_ping(settings.kafka, engines.log),
            "live feed": feed.ping,
        }
        if found.same_secret is not None:
            pings["secret key"] = found.same_secret
        gateway = make_gateway(
            GatewayPorts(
                found.people,
                SecurityPorts(passwords, tokens),
                metrics.log(engines.log),
                metrics.reads(engines.store),
                feed,
                versions,
                policy_of(settings.people),
                pings,
                metrics,
            )
        )
        await feed.open()
        stack.push_async_callback(feed.close)
        started = partial(_started, "gateway", settings.listening)
        return await _serve(gateway, listener, metrics, pings, engines.log.failed, started)


async def serve_metadata(settings: MetadataSettings) -> bool:
    """Run a metadata service until told to stop; say whether that is why it ended."""
    tokens = _tokens(settings.people.keys)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listening(settings.listening, "--metadata-port"))
        own = await stack.enter_async_context(people_in_database(settings))
        engines = await stack.enter_async_context(_engines(settings.kafka, settings.cassandra))
        passwords = BcryptPasswords()
        stack.callback(passwords.close)
        metrics = ServiceMetrics(__version__, SLUG)
        pings = {"directory": own.ping}
        metadata = make_metadata(
            MetadataPorts(
                own.people,
                SecurityPorts(passwords, tokens),
                engines.log,
                engines.store,
                engines.store,
                policy_of(settings.people),
                pings,
                metrics,
                own.internal,
            )
        )
        started = partial(_started, "metadata service", settings.listening)
        return await _serve(metadata, listener, metrics, pings, engines.log.failed, started)


async def serve_router(settings: RouterSettings) -> bool:
    """Run a router until told to stop; say whether that is why it ended."""
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listening(settings.listening, "--router-port"))
        engines = await stack.enter_async_context(_engines(settings.kafka, settings.cassandra))
        routing = ClusterRouter(settings, engines.log, engines.session, engines.store)
        pings = {"log": engines.log.ping, "store": engines.store.ping, "router": routing.ping}
        await stack.enter_async_context(watched(pings))
        task = asyncio.create_task(routing.run(), name="router")
        meter = ServiceMetrics(__version__, SLUG)
        app = make_router_service(RouterServicePorts(pings, meter, routing.metrics.text))
        server = Server(app, listener)
        try:
            started = partial(_started, "router", settings.listening)
            await serve([server], task, started, end_seconds=END_SECONDS)
        finally:
            asked = not task.done()
            routing.stop()
            await task
        return asked


@dataclass(frozen=True, slots=True)
class _Engines:
    log: AwaitedLog
    session: CassandraSession
    store: CassandraStore


@asynccontextmanager
async def _engines(kafka: KafkaSettings, cassandra: CassandraSettings) -> AsyncIterator[_Engines]:
    session = CassandraSession(contact_of(cassandra))
    try:
        log = AwaitedLog(kafka.bootstrap, kafka.topic, CassandraEpochs(session))
        async with log.open():
            yield _Engines(log, session, CassandraStore(session))
    finally:
        await session.close()


async def _serve(
    app: ASGIApp,
    listener: socket.socket,
    metrics: ServiceMetrics,
    pings: Mapping[str, Ping],
    failed: "asyncio.Future[None]",
    started: Callable[[], None],
) -> bool:
    """Serve until told to stop, or until `failed` is done; say whether it was the former."""
    server = Server(app, listener, grace_seconds=GRACE_SECONDS)
    metrics.watch_connections(server.connections)
    async with watched(pings):
        await serve([server], failed, started, end_seconds=END_SECONDS)
    return not failed.done()


def _routers_ping(kafka: KafkaSettings, log: AwaitedLog) -> Ping:
    watch = RoutersWatch(KafkaGroup(kafka.bootstrap, kafka.group), kafka.group)

    async def ping() -> None:
        await watch.ping(log.epoch)

    return ping


def _listening(where: Listening, option: str) -> AbstractContextManager[socket.socket]:
    return listening(where.host, where.port, option)


def contact_of(settings: CassandraSettings) -> Contact:
    """Return where Cassandra is."""
    return Contact(settings.hosts, settings.keyspace, settings.port)


def _tokens(keys: TokenKeys) -> JwtTokens:
    if keys.secret is None:
        raise StartRefused(
            "SECRET_KEY is missing: it signs tokens, at least 32 bytes, the same for all gateways "
            "and metadata services; make one with `openssl rand -hex 32`"
        )
    return JwtTokens(keys.secret, keys.accepted)


def _started(what: str, where: Listening) -> None:
    _log.info("started", extra={"service": what, "host": where.host, "port": where.port})
