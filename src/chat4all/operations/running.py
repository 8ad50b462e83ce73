"""Running a service in this process, and loading modules that only a cluster needs."""

import asyncio
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from chat4all.concurrency.looping import ServiceLoop
from chat4all.domain.errors import StartRefused
from chat4all.settings import Settings

ServiceName: TypeAlias = Literal["gateway", "metadata", "router"]
"""The services of a cluster."""


def service(name: ServiceName, settings: Settings) -> Coroutine[Any, Any, bool]:
    """Return a service of a cluster to be run. It gets its own part of the settings only."""
    with cluster_extra():
        from chat4all.processes import cluster  # noqa: PLC0415
    match name:
        case "gateway":
            return cluster.serve_gateway(settings.gateway)
        case "metadata":
            return cluster.serve_metadata(settings.metadata)
        case "router":
            return cluster.serve_router(settings.router)


def run_until_stopped(service: Coroutine[Any, Any, bool]) -> bool:
    """Run a service; return whether it ended because of a signal."""
    # A thread that returns from the disk waits this long for a busy event loop to release the
    # interpreter's lock; the default of 5 ms would be most of the time that a 202 takes.
    sys.setswitchinterval(0.0005)
    with asyncio.Runner(loop_factory=ServiceLoop) as runner:
        return runner.run(service)


@contextmanager
def cluster_extra() -> Iterator[None]:
    """Import in it what needs the drivers of the extra `chat4all[cluster]`.

    Raises `StartRefused` where they are not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise StartRefused(f"{error.name} is not installed: install chat4all[cluster]") from None
