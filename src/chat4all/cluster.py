"""What each process of a cluster is made of: the same use cases as on one machine, other adapters.

    gateway  :8000 ─ signing in, sending, reading, marking
        on  Kafka (KafkaLog), Cassandra (CassandraStore), the metadata service (metadata_http)
    router   :8002 ─ numbering; the port is for health and metrics
        on  Kafka (KafkaConsumer, KafkaAnnouncements), Cassandra
    metadata :8001 ─ signing up, membership, and what gateways ask
        on  DATABASE_URL (SqlDirectory, SqlSessions); Kafka and Cassandra for who joins' markers

Any number of each, started in any order: what is not there yet is waited for, and `/health/ready`
says so. `chat4all migrate` makes the topics, the keyspace and the tables first.
"""

import asyncio
import logging
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp

from chat4all import __version__, demo
from chat4all.adapters.cassandra import (
    CassandraDeadLetters,
    CassandraEpochs,
    CassandraSession,
    CassandraStore,
    Contact,
)
from chat4all.adapters.cassandra import migrate as migrate_cassandra
from chat4all.adapters.crypto import BcryptPasswords, JwtTokens
from chat4all.adapters.kafka import (
    KafkaAnnouncements,
    KafkaConsumer,
    KafkaGroup,
    KafkaLog,
    KafkaProducer,
    RoutersWatch,
    Topics,
    feed_settings,
    log_settings,
)
from chat4all.adapters.prometheus import GatewayMetrics, RouterMetrics, ServiceMetrics
from chat4all.adapters.sql import Database, SqlDirectory, SqlUsers
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.server_schema import check_revision, upgrade_server
from chat4all.adapters.sql.urls import parse_database_url
from chat4all.domain.errors import StartRefused, Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Epoch
from chat4all.gateway import make_gateway
from chat4all.metadata import make_metadata
from chat4all.metadata_parts import asked_metadata, own_database, own_metadata
from chat4all.people import limits_of, make_people, new_message_id
from chat4all.router.loop import POLL_MAX_IN_A_CLUSTER, Router
from chat4all.settings import Settings
from chat4all.usecases.changes import Changes
from chat4all.usecases.reading import Reading
from chat4all.usecases.sending import Sending
from chat4all.web.bodies import BodyLimit
from chat4all.web.edge import Edge, with_edge
from chat4all.web.health import Degraded, Ping, health_routes, watched
from chat4all.web.metrics import metrics_routes
from chat4all.web.problems import SLUG, install_problems
from chat4all.web.serving import Server, listening, serve

RETRY_SECONDS = 1.0
"""How often what a process waits for is asked for again, about."""

NO_LOG = "the log is not made yet: run `chat4all migrate`"

ROUTERS_SECONDS = 1.5
"""How long a gateway's health check may ask about the routers, to say nothing without an answer."""

GRACE_SECONDS = 6
"""How long requests may take after SIGTERM: by then each knows what came of it, since no part is
waited for longer than 5 s."""

END_SECONDS = 9.0
"""After which a service that was told to stop ends, though Kafka's library may still wait for a
broker that is away, which cannot be interrupted. What is not done then is as after a kill."""

_log = logging.getLogger(__name__)


async def migrate(settings: Settings) -> None:
    """Make topics, keyspace and tables, or bring them to this release. Again changes nothing.

    Raises `Unavailable` for what is away, and `StartRefused` for what must not be touched.
    """
    contact = contact_of(settings)
    await migrate_cassandra(contact, replicas=settings.cassandra_replicas)
    topics, replicas = Topics(settings.kafka), settings.kafka_replicas
    await topics.make(
        settings.kafka_topic_events, settings.kafka_partitions, replicas, feed_settings()
    )
    found = await topics.make(
        settings.kafka_topic,
        settings.kafka_partitions,
        replicas,
        log_settings(settings.log_retention_days, replicas),
    )
    await topics.begin(settings.kafka_topic, found.partitions, settings.kafka_group)
    session = CassandraSession(contact)
    try:
        row = Epoch(0, settings.kafka_topic, found.topic_id, found.partitions)
        known = await CassandraEpochs(session).add(row)
    finally:
        await session.close()
    if known != row:
        raise StartRefused(
            f"the log of keyspace {settings.cassandra_keyspace} is topic {known.topic} (id "
            f"{known.topic_id}, {known.partitions} partitions), and Kafka has {row.topic} (id "
            f"{row.topic_id}, {row.partitions} partitions): name the topic, or another keyspace"
        )
    if settings.database_url is not None:
        where = parse_database_url(settings.database_url.get_secret_value())
        if not isinstance(where, Path):  # a file gets its tables from the service that opens it
            await upgrade_server(where)


@asynccontextmanager
async def ready_database(settings: Settings) -> AsyncIterator[Database | ServerDatabase]:
    """Open the directory's database for an operator.

    Raises `Unavailable` while it is away or has not this release's tables.
    """
    async with own_database(settings) as database:
        await check_revision(database)
        yield database


async def make_demo(settings: Settings) -> None:
    """Make the demonstration data in the directory, as far as it is not there.

    Raises `Unavailable` while the database is away or has no tables.
    """
    passwords = BcryptPasswords()
    try:
        async with ready_database(settings) as database:
            await demo.make(SqlUsers(database), SqlDirectory(database), passwords)
    finally:
        passwords.close()


class _Log:
    """The log, once it is known which topic it is. Until then it is away."""

    def __init__(self, settings: Settings, session: CassandraSession) -> None:
        self._epochs = CassandraEpochs(session)
        self.producer = KafkaProducer(settings.kafka, on_fatal=self._fail)
        self._log: KafkaLog | None = None
        self._topic = settings.kafka_topic
        self._trouble = "the log is not known yet"
        self._shown: str | None = None
        self.epoch: Epoch | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def append(self, key: ConversationId, value: bytes) -> LogPosition:
        """Append one record; see `ports.MessageLog`."""
        return await self._known().append(key, value)

    def partition_of(self, conversation: ConversationId) -> int:
        """Return where a conversation's records belong; see `ports.PartitionedLog`."""
        return self._known().partition_of(conversation)

    async def ping(self) -> None:
        """Return when the log can be written to."""
        if self._log is None:
            # Its name is a setting: what is wrong with Kafka need not wait for Cassandra.
            await self.producer.ping(self._topic)
        await self._known().ping()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Find out in the background; what waits for the log is finished at the end."""
        await self.producer.open()
        self.found = asyncio.create_task(self._find(), name="finding the log")
        try:
            yield
        finally:
            self.found.cancel()
            await asyncio.wait({self.found})
            await self.producer.close()

    async def _find(self) -> Epoch:
        while True:
            try:
                epoch = await self._epochs.newest()
            except Unavailable as error:
                self._waits(str(error), error.shown)
            except Exception:
                # Looking changes nothing, so it can be done again; without it nothing works.
                unexpected = "looking for the log fails unexpectedly: see the log of this process"
                if self._trouble != unexpected:
                    _log.exception("looking for the log fails and is tried again")
                self._waits(unexpected)
            else:
                if epoch is not None:
                    self.epoch, self._log = epoch, KafkaLog(self.producer, epoch)
                    _log.info("the log is known", extra={"topic": epoch.topic})
                    return epoch
                self._waits(NO_LOG)
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1))  # noqa: S311 - jitter

    def _waits(self, trouble: str, shown: str | None = None) -> None:
        if trouble != self._trouble:
            _log.warning("the log is waited for", extra={"cause": trouble})
        self._trouble, self._shown = trouble, shown

    def _known(self) -> KafkaLog:
        if self._log is None:
            raise Unavailable(self._trouble, self._shown)
        return self._log

    def _fail(self, cause: str) -> None:
        """End the process: a producer that failed for good acknowledges nothing (EXACTNESS 11)."""
        _log.critical("the producer has failed for good", extra={"cause": cause})
        if not self.failed.done():
            self.failed.set_result(None)


@asynccontextmanager
async def log_and_dead_letters(
    settings: Settings,
) -> AsyncIterator[tuple[KafkaLog, CassandraDeadLetters]]:
    """Open what an operator's command needs. Raises `Unavailable` for what is away."""
    session = CassandraSession(contact_of(settings))
    try:
        epoch = await CassandraEpochs(session).newest()
        if epoch is None:
            raise Unavailable(NO_LOG)
        producer = KafkaProducer(settings.kafka)
        await producer.open()
        try:
            yield KafkaLog(producer, epoch), CassandraDeadLetters(session)
        finally:
            await producer.close()
    finally:
        await session.close()


@asynccontextmanager
async def _log_and_store(settings: Settings) -> AsyncIterator[tuple[_Log, CassandraSession]]:
    session = CassandraSession(contact_of(settings))
    try:
        log = _Log(settings, session)
        async with log.open():
            yield log, session
    finally:
        await session.close()


async def serve_gateway(settings: Settings) -> bool:
    """Run a gateway until told to stop; say whether that is why it ended."""
    tokens = _tokens(settings)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listening(settings.host, settings.port, "--port"))
        asked = await stack.enter_async_context(asked_metadata(settings))
        log, session = await stack.enter_async_context(_log_and_store(settings))
        passwords = BcryptPasswords()
        stack.callback(passwords.close)
        metrics = GatewayMetrics(__version__, SLUG)
        measured_log, store = metrics.log(log), CassandraStore(session)
        measured_store = metrics.store(store)
        people = make_people(
            settings,
            tokens,
            users=asked.users,
            directory=asked.directory,
            memberships=asked.memberships,
            sessions=asked.sessions,
            passwords=passwords,
            log=measured_log,
            store=measured_store,
        )
        sending = Sending(measured_log, asked.directory, new_id=new_message_id)
        # Nothing is kept between two reads: a feed from which nothing comes may be broken.
        changes = Changes(lambda: False)
        limits = limits_of(settings)
        pings = {
            "log": log.ping,
            "store": store.ping,
            "directory": asked.ping,
            "router": _Routers(settings, log).ping,
            "secret key": asked.same_secret,
        }
        gateway = make_gateway(
            signing_in=people.signing_in,
            sending=sending,
            reading=Reading(measured_store, asked.directory, sending, changes, people.names),
            marking=people.marking,
            changes=changes,
            limits=limits,
            pings=pings,
            meter=metrics,
            accepted=metrics.accepted,
            edge=Edge(settings.cors_origins, settings.trusted_proxies),
            others=[
                *people.routes(limits),
                metrics_routes(metrics.text, failed=metrics.source_failed),
            ],
        )
        started = partial(_started, "gateway", settings, settings.port)
        return await _serve_people(gateway, listener, metrics, pings, log.failed, started)


async def serve_metadata(settings: Settings) -> bool:
    """Run a metadata service until told to stop; say whether that is why it ended."""
    tokens = _tokens(settings)
    async with AsyncExitStack() as stack:
        port = settings.metadata_port
        listener = stack.enter_context(listening(settings.host, port, "--metadata-port"))
        own = await stack.enter_async_context(own_metadata(settings))
        log, session = await stack.enter_async_context(_log_and_store(settings))
        passwords = BcryptPasswords()
        stack.callback(passwords.close)
        metrics = ServiceMetrics(__version__, SLUG)
        people = make_people(
            settings,
            tokens,
            users=own.users,
            directory=own.directory,
            memberships=own.memberships,
            sessions=own.sessions,
            passwords=passwords,
            log=log,
            store=CassandraStore(session),
        )
        routes = people.routes(limits_of(settings))
        pings = {"directory": own.ping}
        metadata = make_metadata(
            [*routes, metrics_routes(metrics.text, failed=metrics.source_failed)],
            pings=pings,
            meter=metrics,
            edge=Edge(settings.cors_origins, settings.trusted_proxies),
            internal=own.internal,
        )
        started = partial(_started, "metadata service", settings, port)
        return await _serve_people(metadata, listener, metrics, pings, log.failed, started)


async def _serve_people(
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


async def serve_router(settings: Settings) -> bool:
    """Run a router until told to stop; say whether that is why it ended."""
    async with AsyncExitStack() as stack:
        port = settings.router_port
        listener = stack.enter_context(listening(settings.host, port, "--router-port"))
        log, session = await stack.enter_async_context(_log_and_store(settings))
        store = CassandraStore(session)
        routing = _Routing(settings, log, session, store)
        pings = {"log": log.ping, "store": store.ping, "router": routing.ping}
        await stack.enter_async_context(watched(pings))
        task = asyncio.create_task(routing.run(), name="router")
        server = Server(_router_app(pings, routing.metrics.text), listener)
        try:
            started = partial(_started, "router", settings, port)
            await serve([server], task, started, end_seconds=END_SECONDS)
        finally:
            asked = not task.done()
            routing.stop()
            await task
        return asked


class _Routers:
    """The routers as a gateway sees them: it accepts without them, but must not hide that."""

    def __init__(self, settings: Settings, log: _Log) -> None:
        self._log = log
        group = settings.kafka_group
        self._watch = RoutersWatch(KafkaGroup(settings.kafka, group), group)

    async def ping(self) -> None:
        """Raise `Degraded` while what is accepted is not processed."""
        if self._log.epoch is None:
            return
        with suppress(Unavailable, TimeoutError):  # the log's own ping tells why
            async with asyncio.timeout(ROUTERS_SECONDS):
                trouble = await self._watch.trouble(self._log.epoch)
            if trouble is not None:
                raise Degraded(trouble)


class _Routing:
    """A router whose log may have to be waited for."""

    def __init__(
        self,
        settings: Settings,
        log: _Log,
        session: CassandraSession,
        store: CassandraStore,
    ) -> None:
        self._settings = settings
        self._log = log
        self._session = session
        self._store = store
        self.metrics = RouterMetrics(__version__, self._lag)
        self._consumer: KafkaConsumer | None = None
        self._router: Router | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Route until `stop`, or until the producer has failed for good."""
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({self._log.found, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not self._stopping.is_set():
            await self._route(self._log.found.result())

    async def ping(self) -> None:
        """Return while messages are routed."""
        if self._router is None:
            raise Unavailable("the router waits for the log")
        await self._router.ping()

    def stop(self) -> None:
        """Ask `run` to end after the batch in hand."""
        self._stopping.set()
        if self._router is not None:
            self._router.stop()

    async def _lag(self) -> Mapping[int, int]:
        return {} if self._consumer is None else self._consumer.lag()

    async def _route(self, epoch: Epoch) -> None:
        settings, metrics = self._settings, self.metrics
        consumer = KafkaConsumer(
            settings.kafka,
            epoch,
            settings.kafka_group,
            session_seconds=settings.router_session_seconds,
        )
        feed = KafkaAnnouncements(self._log.producer, settings.kafka_topic_events)
        self._router = Router(
            metrics.consumer(consumer),
            metrics.store(self._store),
            metrics.dead_letters(CassandraDeadLetters(self._session)),
            metrics.feed(feed),
            self._log,
            poll_max=POLL_MAX_IN_A_CLUSTER,
        )
        self._log.failed.add_done_callback(lambda _: self.stop())
        self._consumer = consumer
        await consumer.open()
        try:
            await self._router.run()
        finally:
            # Also when it has stopped with an alarm: others shall have its partitions.
            await consumer.close()
        # Not ended by itself: somebody has to look, and `/health/ready` says so meanwhile.
        await self._stopping.wait()


def _router_app(pings: Mapping[str, Ping], text: Callable[[], Awaitable[bytes]]) -> ASGIApp:
    app = FastAPI(title="Chat4All router", version=__version__, docs_url=None, redoc_url=None)
    install_problems(app)
    meter = ServiceMetrics(__version__, SLUG)
    app.include_router(health_routes(pings))
    app.include_router(metrics_routes(meter.text, [text], failed=meter.source_failed))
    return with_edge(BodyLimit(app), Edge(), meter, page_policy="")


def contact_of(settings: Settings) -> Contact:
    """Return where Cassandra is."""
    return Contact(settings.cassandra_hosts, settings.cassandra_keyspace, settings.cassandra_port)


def _tokens(settings: Settings) -> JwtTokens:
    if settings.secret_key is None:
        raise StartRefused(
            "SECRET_KEY is missing: it signs tokens, at least 32 bytes, the same for all gateways "
            "and metadata services; make one with `openssl rand -hex 32`"
        )
    return JwtTokens(settings.secret_key.get_secret_value().encode(), settings.accepted_keys)


def _started(what: str, settings: Settings, port: int) -> None:
    _log.info("started", extra={"service": what, "host": settings.host, "port": port})
