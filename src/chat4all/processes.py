"""READ FIRST: what each process is made of.

One machine, one process:

    gateway  :8000 ─ signing in, sending, reading, marking ─┐
    metadata :8001 ─ signing up, membership ────────────────┤ on one event loop
    router         ─ numbering ─────────────────────────────┘
        on  log.db (EmbeddedLog), store.db (EmbeddedStore), metadata.db (SqlDirectory, SqlSessions)
"""

import asyncio
import gc
import logging
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import uuid_utils
import uvicorn
from starlette.types import ASGIApp

from chat4all import demo
from chat4all.adapters.crypto import (
    BcryptPasswords,
    JwtTokens,
    check_secret,
    load_or_make_secret,
)
from chat4all.adapters.embedded import (
    DataFolder,
    EmbeddedConsumer,
    EmbeddedFeed,
    EmbeddedLog,
    EmbeddedStore,
    RememberingDirectory,
    RememberingSessions,
)
from chat4all.adapters.sql import Database, SqlDirectory, SqlSessions, upgrade
from chat4all.domain.errors import StartRefused, Unavailable
from chat4all.gateway import make_gateway
from chat4all.metadata import make_metadata, metadata_routes
from chat4all.ports import Passwords
from chat4all.router.loop import Router
from chat4all.settings import Settings
from chat4all.usecases.marking import Marking
from chat4all.usecases.membership import Membership
from chat4all.usecases.reading import Reading
from chat4all.usecases.sending import Sending
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.signing_up import SigningUp
from chat4all.web.connections import CONNECTIONS_MAX, BoundedProtocol, sweep

GRACE_SECONDS = 3.0
"""How long requests that are being answered may take after SIGTERM."""

TRIM_EVERY_SECONDS = 3600.0

FILES_OF_OUR_OWN = 100
"""Open files that are not clients' connections, and room for some that were just refused."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OneMachine:
    """The running parts of a one-machine Chat4All."""

    gateway: ASGIApp
    metadata: ASGIApp
    router: Router
    log: EmbeddedLog
    store: EmbeddedStore
    feed: EmbeddedFeed
    has_demo: bool


@asynccontextmanager
async def one_machine(
    settings: Settings, *, passwords: Passwords | None = None
) -> AsyncIterator[OneMachine]:
    """Open the data folder, start the router and hand out the two applications.

    Leaving the context drains: the router finishes its batch, what waits for the log is committed.
    Raises `StartRefused` with one sentence when the process must not start like this. `passwords`
    is for tests, which need not wait for a hash that is slow on purpose.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.data))
        is_new = folder.is_new
        secret = _secret(settings, folder.path)
        if passwords is None:
            bcrypt = BcryptPasswords()
            stack.callback(bcrypt.close)
            passwords = bcrypt

        database = Database(folder.path / "metadata.db")
        stack.push_async_callback(database.close)
        await upgrade(database)
        directory = RememberingDirectory(SqlDirectory(database))
        sessions = RememberingSessions(SqlSessions(database))

        log = EmbeddedLog(folder.path / "log.db")
        stack.push_async_callback(log.close)
        store = EmbeddedStore(folder.path / "store.db")
        stack.push_async_callback(store.close)
        consumer = EmbeddedConsumer(log, store)
        feed = EmbeddedFeed()
        router = Router(consumer, store, store, feed)

        signing_in = SigningIn(
            directory,
            sessions,
            passwords,
            JwtTokens(secret),
            lifetime_seconds=settings.access_token_expire_minutes * 60,
        )
        signing_up = SigningUp(directory, passwords)
        marking = Marking(log, store, directory)
        membership = Membership(directory, marking)
        sending = Sending(log, directory, new_id=lambda: str(uuid_utils.uuid7()))

        has_demo = is_new and settings.demo and _is_loopback(settings.host)
        if has_demo:
            await demo.make(signing_up, membership)
        elif not _is_loopback(settings.host) and await demo.passwords_stand(directory, passwords):
            raise StartRefused(
                f"{settings.data} has the demonstration users, whose passwords everybody knows, "
                f"and {settings.host} can be reached from outside: name another folder with --data"
            )

        # After the demonstration data, so that a first start which was cut off is still the first.
        await log.open()
        await store.open()
        await consumer.check()

        routes = metadata_routes(signing_in, signing_up, membership)
        gateway = make_gateway(
            signing_in=signing_in,
            sending=sending,
            reading=Reading(store, directory, sending),
            marking=marking,
            pings={
                "log": log.ping,
                "store": store.ping,
                "directory": directory.ping,
                "router": router.ping,
            },
            others=routes,
        )
        metadata = make_metadata(routes, {"directory": directory.ping})

        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        routing = tasks.create_task(router.run(), name="router")
        trimming = tasks.create_task(
            _trim(log, store, settings.log_retention_days), name="trimming"
        )
        try:
            yield OneMachine(gateway, metadata, router, log, store, feed, has_demo)
        finally:
            router.stop()
            trimming.cancel()
            await routing


async def serve_one_machine(settings: Settings) -> None:
    """Run a one-machine Chat4All until SIGTERM or SIGINT."""
    with (
        _listen(settings.host, settings.port, "--port") as gateway_socket,
        _listen(settings.host, settings.metadata_port, "--metadata-port") as metadata_socket,
    ):
        async with one_machine(settings) as parts:
            _calm_the_collector()
            servers = [_Server(parts.gateway), _Server(parts.metadata)]
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, partial(_stop, servers))
            async with asyncio.TaskGroup() as tasks:
                for server, listener in zip(
                    servers, (gateway_socket, metadata_socket), strict=True
                ):
                    tasks.create_task(server.serve(sockets=[listener]))
                print(_welcome(settings, parts.has_demo), flush=True)  # noqa: T201
            _log.info("stopped")


class _Server(uvicorn.Server):
    """A server whose signals are handled by its process, because there are two of them."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=partial(BoundedProtocol, connections_max=_connections_max()),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Nobody is believed about where a request came from.
                proxy_headers=False,
                timeout_graceful_shutdown=int(GRACE_SECONDS),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        """Look at the connections on every fifth of uvicorn's ticks, which are 0.1 s apart."""
        if counter % 5 == 0:
            sweep(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)


def _connections_max() -> int:
    """Return how many connections a port may have: the files that the system allows are for two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Many systems give 1,024 to who does not ask, for programs of the time of `select`.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(1, min(CONNECTIONS_MAX, (soft - FILES_OF_OUR_OWN) // 2))


def _calm_the_collector() -> None:
    """Keep the cycle collector away from what is loaded for good.

    It would walk all modules and routes again and again while messages wait: tens of milliseconds
    each time. What comes after the start makes few cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _stop(servers: list[_Server]) -> None:
    for server in servers:
        server.should_exit = True


@contextmanager
def _listen(host: str, port: int, option: str) -> Iterator[socket.socket]:
    """Hold a listening socket; `StartRefused` with one sentence when it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartRefused(
            f"cannot listen on {host}:{port} ({error.strerror}): stop what uses it, or choose "
            f"another with --host or {option}"
        ) from error
    with listener:
        yield listener


def _secret(settings: Settings, folder: Path) -> bytes:
    if settings.secret_key is not None:
        return check_secret(settings.secret_key.get_secret_value().encode())
    return load_or_make_secret(folder / "secret-key")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _trim(log: EmbeddedLog, store: EmbeddedStore, days: int) -> None:
    """Drop routed records once they are old enough; the messages are in the store."""
    while True:
        before = int((time.time() - days * 86_400) * 1000)
        try:
            while await log.trim(before, store.committed):
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
    if _is_loopback(host):
        return "localhost"
    return f"[{host}]" if ":" in host else host
