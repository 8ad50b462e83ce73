"""Serving ASGI applications until a signal ends the process."""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from chat4all.concurrency.output import flush_output
from chat4all.domain.errors import StartRefused
from chat4all.http.server.limits import CONNECTIONS_MAX, REFUSED_SHARE
from chat4all.http.server.open_files import files_for_http
from chat4all.http.server.protocol import BoundedProtocol
from chat4all.http.server.sweeping import sweep
from chat4all.http.server.upgrading import Upgrade, UpgradedConnections

KEEP_ALIVE_SECONDS = 75
"""Between two requests of a connection: longer than proxies usually keep it, so that the proxy
closes it and never sends into a connection that is just being closed."""

GRACE_SECONDS = 3
"""How long requests that are being answered may take after SIGTERM, on one machine."""

_log = logging.getLogger(__name__)


@contextmanager
def listening(host: str, port: int, option: str, other_ports: int = 0) -> Iterator[socket.socket]:
    """Hold a listening socket; `StartRefused` with one sentence when that fails.

    Where the port is in use, the next free one of `other_ports` that follow it is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = _first_free(host, range(port, port + other_ports + 1), family)
    except OSError as error:
        raise StartRefused(
            f"cannot listen on {host}:{port} ({error.strerror}): stop what uses it, or choose "
            f"another with --host or {option}"
        ) from error
    with listener:
        yield listener


def _first_free(host: str, ports: Sequence[int], family: socket.AddressFamily) -> socket.socket:
    for port in ports:
        try:
            return socket.create_server((host, port), family=family, backlog=2048)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == ports[-1]:
                raise
    raise AssertionError("no port to try")


class Server(uvicorn.Server):
    """One application on one listening socket, of `ports` that the process has.

    `serve` handles signals, because a process may have several servers. `grace_seconds`: how long
    requests in progress may take after a signal; then they are cut. `upgrade` returns the protocol
    to take over a connection that offers another one; without it all stay HTTP. `ending` is called
    when it begins to end, for answers that would not end by themselves.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        ports: int = 1,
        grace_seconds: int = GRACE_SECONDS,
        upgrade: Upgrade | None = None,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        self.upgraded = UpgradedConnections()
        protocol = partial(
            BoundedProtocol,
            connections_max=_connections_max(ports),
            upgrade=upgrade,
            upgraded=self.upgraded,
        )
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # The application decides which proxies are trusted.
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=grace_seconds,
            )
        )
        self.listener = listener
        self._ending = ending
        self._grace_seconds = grace_seconds

    def connections(self) -> int:
        """Return how many HTTP connections are open."""
        return len(self.server_state.connections)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Sweep the connections on every fifth of uvicorn's ticks, which are 0.1 s apart."""
        if counter % 5 == 0:
            # All are made by the configuration above.
            connections: Iterable[Any] = self.server_state.connections
            sweep(connections, asyncio.get_running_loop().time())
            await self.upgraded.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all connections, those that were handed over included."""
        self._ending()
        await asyncio.gather(super().shutdown(sockets), self.upgraded.end(self._grace_seconds))


async def serve(
    servers: Sequence[Server],
    works: "asyncio.Future[None]",
    started: Callable[[], None],
    *,
    end_seconds: float | None = None,
) -> None:
    """Serve until one of `stop_signals`, or until `works` is done, then drain.

    `started` is called just before requests are accepted. `end_seconds` after the signal the
    process exits, whatever it is waiting for: only for a process that may be killed.
    """
    _freeze_what_is_loaded()
    stop = partial(_stop, servers, end_seconds)
    for number in stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, stop, 0)
    works.add_done_callback(lambda _: stop(1))
    async with asyncio.TaskGroup() as tasks:
        for server in servers:
            tasks.create_task(server.serve(sockets=[server.listener]))
        started()


def stop_signals() -> list[signal.Signals]:
    """Return the signals that end a service: SIGTERM, and SIGINT and SIGHUP unless it ignores them.

    Whoever started it may have had them ignored on purpose: `nohup` SIGHUP, a shell SIGINT for what
    it runs in the background.
    """
    unless_ignored = (signal.SIGINT, signal.SIGHUP)
    return [
        signal.SIGTERM,
        *(one for one in unless_ignored if signal.getsignal(one) is not signal.SIG_IGN),
    ]


def _stop(servers: Sequence[Server], end_seconds: float | None, status: int) -> None:
    for server in servers:
        server.should_exit = True
    if end_seconds is not None:
        # A thread, because the event loop or the interpreter's shutdown may be what hangs.
        end = threading.Timer(end_seconds, _end, [status])
        end.daemon = True
        end.start()


def _end(status: int) -> None:
    _log.warning("ended without waiting for what has not answered")
    flush_output()
    os._exit(status)


def _connections_max(ports: int) -> int:
    """Return how many connections a port may have of the files that the system allows."""
    files = files_for_http() / ports
    return max(1, int(min(CONNECTIONS_MAX, files * REFUSED_SHARE / (REFUSED_SHARE + 1))))


def _freeze_what_is_loaded() -> None:
    """Exclude everything loaded so far from garbage collection.

    A collection would walk all modules and routes while messages wait: tens of milliseconds each
    time. Objects made after the start form few cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()
