"""READ FIRST: what each process is made of.

One machine, two processes:

    gateway  :8000 ─ signing in, sending, reading, marking ─┐ on one event loop
    metadata :8001 ─ signing up, membership ────────────────┘
        on  log.db (EmbeddedLog), store.db (EmbeddedStore, reading it),
            metadata.db (SqlDirectory, SqlSessions)
    router         ─ numbering, in a process of its own: router_process.py
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from chat4all import __version__, demo
from chat4all.adapters.crypto import (
    BcryptPasswords,
    JwtTokens,
    accepted_beside,
    load_or_make_secret,
)
from chat4all.adapters.embedded import (
    DataFolder,
    EmbeddedConsumer,
    EmbeddedFeed,
    EmbeddedLog,
    EmbeddedStore,
    RouterLink,
)
from chat4all.adapters.prometheus import GatewayMetrics, ServiceMetrics
from chat4all.adapters.remembering import (
    Following,
    FollowingDirectory,
    FollowingSessions,
    FollowingUsers,
    WhenAliased,
)
from chat4all.adapters.sql import (
    Database,
    SqlDirectory,
    SqlMemberships,
    SqlOutbox,
    SqlSessions,
    SqlUsers,
    upgrade,
)
from chat4all.domain.errors import StartRefused, Unavailable
from chat4all.gateway import make_gateway
from chat4all.metadata import make_metadata
from chat4all.people import limits_of, make_people, new_message_id
from chat4all.ports import Directory, Memberships, Outbox, Passwords, Sessions, Users
from chat4all.router_process import RouterProcess, make_router
from chat4all.settings import Settings, is_loopback
from chat4all.usecases.changes import Changes
from chat4all.usecases.reading import Reading
from chat4all.usecases.sending import Sending
from chat4all.web.edge import Edge
from chat4all.web.health import Ping
from chat4all.web.metrics import Source, metrics_routes
from chat4all.web.problems import SLUG
from chat4all.web.serving import Server, listening, serve

TRIM_EVERY_SECONDS = 3600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Routing:
    """The running router, wherever it runs: `task` ends when it does."""

    task: asyncio.Task[None]
    ping: Ping
    is_heard: Callable[[], bool]
    metrics: Source
    stop: Callable[[], None]


@dataclass(frozen=True, slots=True)
class OneMachine:
    """The running parts of a one-machine Chat4All."""

    gateway: ASGIApp
    metadata: ASGIApp
    routing: Routing
    log: EmbeddedLog
    store: EmbeddedStore
    feed: EmbeddedFeed
    gateway_metrics: GatewayMetrics
    metadata_metrics: ServiceMetrics
    has_demo: bool


@dataclass(frozen=True, slots=True)
class _Metadata:
    """Users, directory and sessions, and what tells of changes by other processes."""

    users: Users
    directory: Directory
    memberships: Memberships
    sessions: Sessions
    outbox: SqlOutbox
    following: Following


@asynccontextmanager
async def _metadata(path: Path) -> AsyncIterator[_Metadata]:
    database = Database(path)
    try:
        await upgrade(database)
        outbox = SqlOutbox(database)
        # What other processes change, such as `chat4all users`, is found in the outbox.
        following = Following(outbox, "the directory")
        await following.poll()  # so that the first requests are answered
        async with following.running():
            yield _Metadata(
                FollowingUsers(SqlUsers(database), following),
                FollowingDirectory(SqlDirectory(database), following),
                SqlMemberships(database),
                FollowingSessions(SqlSessions(database), following),
                outbox,
                following,
            )
    finally:
        await database.close()


@asynccontextmanager
async def one_machine(
    settings: Settings,
    folder: DataFolder,
    *,
    router_process: RouterProcess | None = None,
    passwords: Passwords | None = None,
) -> AsyncIterator[OneMachine]:
    """Open the folder's files, start the router and hand out the two applications.

    Leaving the context drains: what waits for the log is committed, the router finishes its batch.
    Raises `StartRefused` with one sentence when the process must not start like this. Without a
    `router_process` the router runs on this event loop; `passwords` is for tests, which need not
    wait for a hash that is slow on purpose.
    """
    async with AsyncExitStack() as stack:
        tokens = _tokens(settings, folder.path)
        if passwords is None:
            bcrypt = BcryptPasswords()
            stack.callback(bcrypt.close)
            passwords = bcrypt

        known = await stack.enter_async_context(_metadata(folder.path / "metadata.db"))
        users, directory, outbox = known.users, known.directory, known.outbox

        log = EmbeddedLog(folder.path / "log.db")
        stack.push_async_callback(log.close)
        store = EmbeddedStore(folder.path / "store.db")
        stack.push_async_callback(store.close)
        feed = EmbeddedFeed()

        gateway_metrics = GatewayMetrics(__version__, SLUG)
        metadata_metrics = ServiceMetrics(__version__, SLUG)
        measured_log, measured_store = gateway_metrics.log(log), gateway_metrics.store(store)
        people = make_people(
            settings,
            tokens,
            users=users,
            directory=directory,
            memberships=known.memberships,
            sessions=known.sessions,
            passwords=passwords,
            log=measured_log,
            store=measured_store,
        )
        sending = Sending(measured_log, directory, new_id=new_message_id)

        has_demo = await _demo(settings, folder, users, directory, passwords)
        # After the demonstration data, so that a first start which was cut off is still the first.
        await log.open()
        await store.open()
        await EmbeddedConsumer(log, store).check()

        if router_process is None:
            started = _routing_here(log, store, feed)
        else:
            router_process.go(folder.path, settings.log_level, folder.lock)
            started = _routing_there(router_process, log, feed)
        routing = await stack.enter_async_context(started)

        changes = Changes(routing.is_heard)
        feed.watch(changes.announced)
        known.following.tells(WhenAliased(changes.forget_all))
        limits = limits_of(settings)
        edge = Edge(settings.cors_origins, settings.trusted_proxies)
        routes = people.routes(limits)
        gateway = make_gateway(
            signing_in=people.signing_in,
            sending=sending,
            reading=Reading(measured_store, directory, sending, changes, people.names),
            marking=people.marking,
            changes=changes,
            limits=limits,
            pings={
                "log": log.ping,
                "store": store.ping,
                "directory": directory.ping,
                "router": routing.ping,
            },
            meter=gateway_metrics,
            accepted=gateway_metrics.accepted,
            edge=edge,
            others=[
                *routes,
                metrics_routes(
                    gateway_metrics.text,
                    [routing.metrics],
                    failed=gateway_metrics.source_failed,
                ),
            ],
        )
        metadata = make_metadata(
            [*routes, metrics_routes(metadata_metrics.text, failed=metadata_metrics.source_failed)],
            pings={"directory": directory.ping},
            meter=metadata_metrics,
            edge=edge,
        )

        trimming = asyncio.create_task(
            _trim(log, store, outbox, settings.log_retention_days), name="trimming"
        )
        try:
            yield OneMachine(
                gateway=gateway,
                metadata=metadata,
                routing=routing,
                log=log,
                store=store,
                feed=feed,
                gateway_metrics=gateway_metrics,
                metadata_metrics=metadata_metrics,
                has_demo=has_demo,
            )
        finally:
            trimming.cancel()
            await asyncio.wait({trimming})


async def _demo(
    settings: Settings,
    folder: DataFolder,
    users: Users,
    directory: Directory,
    passwords: Passwords,
) -> bool:
    """Make the demonstration data in a new folder and say whether; refuse it on an open address."""
    if folder.is_new and settings.demo and is_loopback(settings.host):
        await demo.make(users, directory, passwords)
        return True
    if not is_loopback(settings.host) and await demo.passwords_stand(users, passwords):
        raise StartRefused(
            f"{settings.data} has the demonstration users, whose passwords everybody knows, "
            f"and {settings.host} can be reached from outside: name another folder with --data"
        )
    return False


@asynccontextmanager
async def _routing_here(
    log: EmbeddedLog, store: EmbeddedStore, feed: EmbeddedFeed
) -> AsyncIterator[Routing]:
    router, metrics = make_router(log, store, feed)
    task = asyncio.create_task(router.run(), name="router")
    try:
        yield Routing(task, router.ping, lambda: True, metrics.text, router.stop)
    finally:
        router.stop()
        await task


@asynccontextmanager
async def _routing_there(
    process: RouterProcess, log: EmbeddedLog, feed: EmbeddedFeed
) -> AsyncIterator[Routing]:
    link = await RouterLink.over(process.link, feed.republish)
    log.watch(link.ring)
    task = asyncio.create_task(link.run(), name="link to the router")
    try:
        yield Routing(task, link.ping, link.is_heard, link.metrics, link.close)
    finally:
        link.close()
        await asyncio.wait({task})


async def serve_one_machine(settings: Settings, router_process: RouterProcess) -> bool:
    """Run a one-machine Chat4All until SIGTERM, SIGINT or SIGHUP; say whether that is why it ended.

    It also ends when its router's process does.
    """
    with (
        listening(settings.host, settings.port, "--port") as gateway_socket,
        listening(settings.host, settings.metadata_port, "--metadata-port") as metadata_socket,
        DataFolder(settings.data) as folder,
    ):
        async with one_machine(settings, folder, router_process=router_process) as parts:
            gateway = Server(parts.gateway, gateway_socket, ports=2)
            metadata = Server(parts.metadata, metadata_socket, ports=2)
            parts.gateway_metrics.watch_connections(gateway.connections)
            parts.metadata_metrics.watch_connections(metadata.connections)
            await serve(
                [gateway, metadata],
                parts.routing.task,
                lambda: print(_welcome(settings, parts.has_demo), flush=True),  # noqa: T201
            )
            asked = not parts.routing.task.done()
    if asked:
        _log.info("stopped")
    else:
        _log.critical("the router's process has ended; nothing that was accepted is lost")
    return asked


def _tokens(settings: Settings, folder: Path) -> JwtTokens:
    if settings.secret_key is not None:
        key = settings.secret_key.get_secret_value().encode()
        return JwtTokens(key, settings.accepted_keys)
    file = folder / "secret-key"
    return JwtTokens(load_or_make_secret(file), [*accepted_beside(file), *settings.accepted_keys])


async def _trim(log: EmbeddedLog, store: EmbeddedStore, outbox: Outbox, days: int) -> None:
    """Drop routed records once they are old enough; the messages are in the store.

    And what the outbox noted.
    """
    while True:
        before = int((time.time() - days * 86_400) * 1000)
        try:
            while await log.trim(before, await store.stored()):
                pass
            while await outbox.trim():
                pass
        except Unavailable as error:
            _log.warning("the log was not trimmed", extra={"cause": str(error)})
        await asyncio.sleep(TRIM_EVERY_SECONDS)


def _welcome(settings: Settings, has_demo: bool) -> str:
    gateway = f"http://{_shown(settings.host)}:{settings.port}"
    metadata = f"http://{_shown(settings.host)}:{settings.metadata_port}"
    lines = [
        f"Chat4All is running: {gateway} (gateway), {metadata} (metadata)",
        f"Documentation: {gateway}/docs    Data: {settings.data.resolve()}    Stop: Ctrl+C",
    ]
    if has_demo:
        lines += [
            "",
            f"Demonstration accounts: {' and '.join(demo.USERS)}, password {demo.PASSWORD}. "
            "Say something as bruno:",
            "",
            f"  TOKEN=$(curl -s {gateway}/token -d username=bruno -d password={demo.PASSWORD} |",
            "    python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])')",
            f'  curl {gateway}/v1/messages -H "Authorization: Bearer $TOKEN" \\',
            "       -H 'Content-Type: application/json' \\",
            f'       -d \'{{"chat_id": "{demo.CHAT}", "content": "Olá!"}}\'',
            f"  curl {gateway}/v1/conversations/{demo.CHAT}/messages "
            '-H "Authorization: Bearer $TOKEN"',
        ]
    return "\n".join(lines)


def _shown(host: str) -> str:
    """Return a host as it stands in an address that a person can open."""
    if is_loopback(host):
        return "localhost"
    return f"[{host}]" if ":" in host else host
