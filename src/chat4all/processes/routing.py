"""The router of one machine as the gateway's process has it: in a process of its own, or not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chat4all.adapters.embedded import EmbeddedFeed, EmbeddedLog, EmbeddedStore, RouterLink
from chat4all.http.metrics import Source
from chat4all.ports.health import Ping
from chat4all.processes.router_process import RouterProcess, embedded_router


@dataclass(frozen=True, slots=True)
class Routing:
    """The running router, wherever it runs: `task` ends when it does."""

    task: asyncio.Task[None]
    ping: Ping
    metrics: Source
    stop: Callable[[], None]


@asynccontextmanager
async def in_process_router(
    log: EmbeddedLog, store: EmbeddedStore, feed: EmbeddedFeed
) -> AsyncIterator[Routing]:
    """Route on this event loop, as tests do."""
    router, metrics = embedded_router(log, store, feed)
    task = asyncio.create_task(router.run(), name="router")
    try:
        yield Routing(task, router.ping, metrics.text, router.stop)
    finally:
        router.stop()
        await task


@asynccontextmanager
async def forked_router(
    process: RouterProcess, log: EmbeddedLog, feed: EmbeddedFeed
) -> AsyncIterator[Routing]:
    """Be linked to the process that routes, which was told its folder before."""
    link = await RouterLink.over(process.link, feed.republish, feed.heard)
    log.watch(link.ring)
    task = asyncio.create_task(link.run(), name="link to the router")
    try:
        yield Routing(task, link.ping, link.metrics, link.close)
    finally:
        link.close()
        await asyncio.wait({task})
