"""What the router's process is made of, on one machine.

    router ─ numbering ─ on  log.db (read), store.db (EmbeddedStore)
       ▲ doorbell   │ live feed, status, metrics
       └── socket pair to the process of gateway and metadata service (one_machine)

A process of its own, because the two would otherwise take turns at one interpreter: while a batch
is numbered and stored no request would be answered. It is forked before anything large is loaded,
so that it stays small. Neither outlives the other (docs/decisions/0005-router-process.md).
"""

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import msgspec

from chat4all import __version__
from chat4all.adapters.embedded import EmbeddedConsumer, EmbeddedLog, EmbeddedStore, GatewayLink
from chat4all.adapters.embedded.folder import watching_folder
from chat4all.adapters.embedded.link import Status, pair
from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.prometheus import RouterMetrics
from chat4all.concurrency.output import flush_output, write_in_background
from chat4all.domain.errors import Unavailable
from chat4all.logs import configure_logging
from chat4all.ports.feed import Announcements
from chat4all.processes.apps import make_router
from chat4all.processes.router_parts import RouterPorts
from chat4all.router.loop import Router

END_SECONDS = 1.5
"""How long the router's process may take to finish its batch before it is killed. Nothing is lost
by that; a stop is promised within 5 s, of which requests may take 3."""


class _Start(msgspec.Struct):
    """What the router's process is told, together with the lock of the data folder."""

    data: str
    log_level: str


class RouterProcess:
    """A forked process that waits to be told its data folder, routes, and ends with this one.

    Made before there are threads: a fork takes only the thread along that calls it.
    """

    def __init__(self) -> None:
        self.link, theirs = pair()
        # A collection in one process would write to every object, and so copy what both share.
        gc.freeze()
        self.pid = os.fork()
        if self.pid == 0:
            self.link.close()
            os._exit(_main(theirs))
        theirs.close()

    def start_routing(self, data: Path, log_level: str, lock: int) -> None:
        """Let it route. It holds the folder's lock too, so that it cannot meet its successor."""
        start = msgspec.json.encode(_Start(str(data.resolve()), log_level))
        socket.send_fds(self.link, [start], [lock])

    def __enter__(self) -> "RouterProcess":
        """Hand it out; leaving the context ends it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for its end, which the end of the link brings; kill it when it does not come."""
        self.link.close()
        deadline = time.monotonic() + END_SECONDS
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return
            time.sleep(0.005)


def embedded_router(
    log: EmbeddedLog, store: EmbeddedStore, feed: Announcements
) -> tuple[Router, RouterMetrics]:
    """Return the router of these files, measured, and its metrics."""

    async def lag() -> Mapping[int, int]:
        return {0: await log.end() - store.committed}

    metrics = RouterMetrics(__version__, lag)
    return make_router(
        RouterPorts(EmbeddedConsumer(log, store), store, store, feed, metrics)
    ), metrics


def _main(link: socket.socket) -> int:
    # They reach the whole group of processes. The gateway's process drains first, then this one.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gc.enable()
    told, descriptors, _, _ = socket.recv_fds(link, 65_536, 1)
    if not told:
        return 0  # the start was refused
    with _closing(descriptors):
        start = msgspec.json.decode(told, type=_Start)
        write_in_background()
        configure_logging(start.log_level)
        try:
            asyncio.run(_route(Path(start.data), link))
        finally:
            flush_output()
    return 0


@contextmanager
def _closing(descriptors: list[int]) -> Iterator[None]:
    try:
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


async def _route(data: Path, socket_to_gateway: socket.socket) -> None:
    async with AsyncExitStack() as stack:
        link = await GatewayLink.over(socket_to_gateway)
        stack.callback(link.close)
        present = PresentFiles()
        stack.enter_context(watching_folder(data, present))
        log = EmbeddedLog(data / "log.db", present=present)
        stack.push_async_callback(log.close)
        store = EmbeddedStore(data / "store.db", present=present)
        stack.push_async_callback(store.close)
        await log.follow()
        await store.open()
        router, metrics = embedded_router(log, store, link)

        async def status() -> Status:
            try:
                await router.ping()
            except Unavailable as error:
                return Status(store.committed, str(error))
            return Status(store.committed, None)

        routing = asyncio.create_task(router.run(), name="router")
        try:
            async with link.beating(status):
                await link.run(log.notify, metrics.text)
        finally:
            router.stop()
            await asyncio.wait({routing})
