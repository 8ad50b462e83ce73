"""One machine, two processes, on SQLite files.

gateway  :8000 ─┐ on one event loop, with  log.db (EmbeddedLog), store.db (EmbeddedStore, read),
metadata :8001 ─┘                          metadata.db (SqlDirectory, SqlUsers, SqlSessions)
router          ─ in a process of its own: `router_process`
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from math import inf

from starlette.types import ASGIApp

from chat4all import __version__
from chat4all.adapters.caching import OutboxFollower
from chat4all.adapters.crypto import BcryptPasswords
from chat4all.adapters.embedded import (
    DataFolder,
    EmbeddedConsumer,
    EmbeddedFeed,
    EmbeddedLog,
    EmbeddedProgress,
    EmbeddedStore,
    FolderBlobs,
)
from chat4all.adapters.embedded.blobs import RESERVED_BYTES
from chat4all.adapters.embedded.folder import FILES, FolderGeneration, watching_folder
from chat4all.adapters.embedded.link import SILENCE_SECONDS
from chat4all.adapters.pictures import LimitedPictures
from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.prometheus import GatewayMetrics, MetadataMetrics
from chat4all.concurrency.periodic import periodically
from chat4all.domain.errors import StartRefused
from chat4all.gateway.files.filing import Filing
from chat4all.gateway.live.live import Live
from chat4all.http.problems import SLUG
from chat4all.http.server.serving import Server, listening, serve
from chat4all.http.server.upgrading import Upgrade
from chat4all.ports.outbox import OutboxTrimming
from chat4all.ports.people import PeoplePorts
from chat4all.ports.pictures import Pictures
from chat4all.ports.security import Passwords
from chat4all.processes.apps import make_gateway, make_metadata
from chat4all.processes.directories import people_in_file, trim_all
from chat4all.processes.files import ping_of, scanner_at
from chat4all.processes.keys import tokens_in_folder
from chat4all.processes.parts import (
    GatewayPorts,
    MetadataPorts,
    Pings,
    SecurityPorts,
)
from chat4all.processes.policy import policy_of
from chat4all.processes.router_process import RouterProcess
from chat4all.processes.routing import Routing, forked_router, in_process_router
from chat4all.processes.trimming import LogTrimming
from chat4all.processes.welcome import welcome
from chat4all.settings import OneMachineSettings, is_loopback
from chat4all.usecases.demonstrating import CHAT, demo_passwords_are_active, make_demo

TRIM_EVERY_SECONDS = 3600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OneMachine:
    """The running parts of a one-machine Chat4All."""

    gateway: ASGIApp
    upgrade: Upgrade
    files: Filing
    blobs: FolderBlobs
    live: Live
    metadata: ASGIApp
    people: PeoplePorts
    follower: OutboxFollower
    routing: Routing
    log: EmbeddedLog
    store: EmbeddedStore
    feed: EmbeddedFeed
    gateway_metrics: GatewayMetrics
    metadata_metrics: MetadataMetrics
    has_demo: bool

    def end(self) -> None:
        """Let go of what would not end by itself: streams of events, and uploads."""
        self.live.end_streams()
        self.files.end_uploads()


@asynccontextmanager
async def one_machine(
    settings: OneMachineSettings,
    folder: DataFolder,
    *,
    router_process: RouterProcess | None = None,
    passwords: Passwords | None = None,
    pictures: Pictures | None = None,
) -> AsyncIterator[OneMachine]:
    """Open the folder's files, start the router and hand out the two applications.

    Leaving the context drains: what waits for the log is committed, the router finishes its batch.
    Raises `StartRefused` with one sentence when the process must not start like this. Without a
    `router_process` the router runs on this event loop; `passwords` and `pictures` are for tests,
    which need not wait for a hash that is slow on purpose, nor for processes.
    """
    async with AsyncExitStack() as stack:
        installation, present = folder.begin(), PresentFiles()
        tokens = tokens_in_folder(settings.people.keys, folder.path)
        if passwords is None:
            passwords = stack.enter_context(closing(BcryptPasswords()))
        log = EmbeddedLog(folder.path / "log.db", present=present)
        stack.push_async_callback(log.close)
        found = await stack.enter_async_context(
            people_in_file(folder.path / "metadata.db", present, log.order_ms)
        )
        people = found.people
        store = EmbeddedStore(folder.path / "store.db", present=present)
        stack.push_async_callback(store.close)
        feed = EmbeddedFeed(inf if router_process is None else SILENCE_SECONDS)

        has_demo = await _demo(settings, people, passwords, is_new=installation.is_new)
        if has_demo:
            # Or else the first requests would be overtaken by the news of it.
            await found.follower.poll()
        await log.open()
        log.order_after(found.newest_ms)
        await store.open()
        await EmbeddedConsumer(log, store).check()
        blobs = FolderBlobs(
            folder.path / FILES,
            reserve=RESERVED_BYTES,
            installation_id=installation.installation_id,
        )
        stack.push_async_callback(blobs.close)
        await blobs.open(has_files=found.has_files)
        scanner = scanner_at(settings.files.clamd)
        # After the demonstration data, so that a first start which was cut off is still the first.
        installation.complete()
        stack.enter_context(watching_folder(folder.path, present))

        if router_process is None:
            started = in_process_router(log, store, feed)
        else:
            router_process.start_routing(folder.path, settings.log_level, folder.lock)
            started = forked_router(router_process, log, feed)
        routing = await stack.enter_async_context(started)

        # Also at a later start: no other conversation has this id.
        told = (
            settings.demo
            and is_loopback(settings.gateway.host)
            and await people.directory.conversation(CHAT) is not None
        )
        gateway_metrics = GatewayMetrics(__version__, SLUG)
        metadata_metrics = MetadataMetrics(__version__, SLUG)
        security = SecurityPorts(passwords, tokens)
        policy = policy_of(settings.people)
        gateway, live = make_gateway(
            GatewayPorts(
                people,
                found.follower,
                security,
                log,
                store,
                feed,
                feed,
                policy,
                Pings(
                    log.ping,
                    store.ping,
                    found.ping,
                    routing.ping,
                    files=ping_of(blobs),
                    scanner=None if scanner is None else ping_of(scanner),
                ),
                gateway_metrics,
                FolderGeneration(folder.path, installation.installation_id),
                pictures or LimitedPictures(),
                store,
                EmbeddedProgress(log, store),
                blobs,
                settings.files.limits,
                settings.files.quota,
                settings.files.upload_rate,
                scanner=scanner,
                other_metrics=[routing.metrics],
                has_demonstration=told,
                is_only_gateway=True,
            )
        )
        await stack.enter_async_context(live.running())
        await stack.enter_async_context(gateway.files.running())
        metadata = make_metadata(
            MetadataPorts(
                people,
                security,
                log,
                store,
                feed,
                policy,
                Pings(directory=found.ping),
                metadata_metrics,
            )
        )
        trimming = LogTrimming(log, store, settings.log_retention_days)
        trim = partial(_trim, trimming, found.outbox)
        async with periodically("trimming", trim, TRIM_EVERY_SECONDS):
            yield OneMachine(
                gateway=gateway.app,
                upgrade=gateway.upgrade,
                files=gateway.files,
                blobs=blobs,
                live=live,
                metadata=metadata,
                people=people,
                follower=found.follower,
                routing=routing,
                log=log,
                store=store,
                feed=feed,
                gateway_metrics=gateway_metrics,
                metadata_metrics=metadata_metrics,
                has_demo=has_demo,
            )


async def serve_one_machine(settings: OneMachineSettings, router_process: RouterProcess) -> bool:
    """Run a one-machine Chat4All until told to stop; say whether that is why it ended.

    It also ends when its router's process does.
    """
    with (
        listening(settings.gateway.host, settings.gateway.port, "--port") as gateway_socket,
        listening(
            settings.metadata.host, settings.metadata.port, "--metadata-port"
        ) as metadata_socket,
        DataFolder(settings.data) as folder,
    ):
        async with one_machine(settings, folder, router_process=router_process) as parts:
            gateway = Server(
                parts.gateway,
                gateway_socket,
                ports=2,
                upgrade=parts.upgrade,
                ending=parts.end,
            )
            metadata = Server(parts.metadata, metadata_socket, ports=2)
            parts.gateway_metrics.watch_connections(gateway.connections)
            parts.metadata_metrics.watch_connections(metadata.connections)
            await serve(
                [gateway, metadata],
                parts.routing.task,
                partial(_started, settings, has_demo=parts.has_demo),
            )
            stopped_by_signal = not parts.routing.task.done()
    if stopped_by_signal:
        _log.info("stopped")
    else:
        _log.critical("the router's process has ended; nothing that was accepted is lost")
    return stopped_by_signal


def _started(settings: OneMachineSettings, *, has_demo: bool) -> None:
    # The welcome comes last: it is what a person at a terminal is to read.
    _log.info(
        "started",
        extra={
            "service": "one machine",
            "version": __version__,
            "gateway": str(settings.gateway),
            "metadata": str(settings.metadata),
            "data": str(settings.data.resolve()),
            "settings": dict(settings.changed),
        },
    )
    print(welcome(settings, has_demo=has_demo), flush=True)  # noqa: T201


async def _demo(
    settings: OneMachineSettings, people: PeoplePorts, passwords: Passwords, *, is_new: bool
) -> bool:
    """Make the demonstration data in a new folder and say whether; refuse it on an open address."""
    host = settings.gateway.host
    if is_new and settings.demo and is_loopback(host):
        await make_demo(people.users, people.directory, passwords)
        return True
    if not is_loopback(host) and await demo_passwords_are_active(people.users, passwords):
        raise StartRefused(
            f"{settings.data} has the demonstration users, whose passwords everybody knows, "
            f"and {host} can be reached from outside: name another folder with --data"
        )
    return False


async def _trim(log: LogTrimming, outbox: OutboxTrimming) -> None:
    await log.trim()
    await trim_all(outbox)
