"""Health: whether the process runs, and whether it has all that it needs."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus

from fastapi import APIRouter, Response
from pydantic import BaseModel

from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.periodic import periodically
from chat4all.domain.errors import Degraded, Unavailable
from chat4all.ports.health import Ping

PING_SECONDS = 2.0
"""Longer than this is as good as away."""

REMEMBER_SECONDS = 0.5
"""How long an answer holds: some pings write, and anybody may ask as often as they like."""

WATCH_SECONDS = 5.0
"""How often a process looks at its parts for its own log."""

_log = logging.getLogger(__name__)


class Health(BaseModel):
    """The process runs."""

    status: str = "ok"


class DependencyHealth(BaseModel):
    """One dependency: `error` is null when all is well with it.

    `status` is `ok`, `unavailable`, or `degraded`: wrong, but no reason to send nobody here.
    """

    status: str
    latency_ms: float
    error: str | None = None


class Readiness(BaseModel):
    """What the service needs, each by itself."""

    status: str
    dependencies: dict[str, DependencyHealth]


def health_routes(pings: Mapping[str, Ping]) -> APIRouter:
    """Return `/health`, `/health/live` and, from the ports' pings, `/health/ready`."""
    router = APIRouter(tags=["Health"])
    checks = {name: _Check(ping) for name, ping in pings.items()}

    @router.get("/health", summary="The process runs")
    @router.get("/health/live", summary="The process runs (for a liveness probe)")
    async def live() -> Health:
        """Answer as long as the event loop turns; says nothing about dependencies."""
        return Health()

    @router.get(
        "/health/ready",
        summary="Everything it needs is there",
        responses={503: {"model": Readiness, "description": "Something is away."}},
    )
    async def ready(response: Response) -> Readiness:
        """Ask each dependency. 503 when one is unavailable, with its error."""
        answers = await asyncio.gather(*[check.answer() for check in checks.values()])
        found = dict(zip(checks, answers, strict=True))
        well = all(dependency.status != "unavailable" for dependency in found.values())
        if not well:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Readiness(status="ok" if well else "unavailable", dependencies=found)

    return router


@asynccontextmanager
async def watched(pings: Mapping[str, Ping], seconds: float = WATCH_SECONDS) -> AsyncIterator[None]:
    """Log each part that is not well, each cause once until it is, and that it is well again."""
    async with AsyncExitStack() as stack:
        for part, ping in pings.items():
            outages = OutageLog(_log, "a part is not well", "a part is well again", part=part)
            look = partial(_look, ping)
            await stack.enter_async_context(
                periodically(f"watching {part}", look, seconds, outages)
            )
        yield


async def _look(ping: Ping) -> None:
    if (error := (await _check(ping)).error) is not None:
        raise Unavailable(error)


class _Check:
    """One dependency's ping, shared by all who ask while it runs and shortly after."""

    def __init__(self, ping: Ping) -> None:
        self._ping = ping
        self._running: asyncio.Task[DependencyHealth] | None = None
        self._good_until = 0.0

    async def answer(self) -> DependencyHealth:
        """Return how the dependency is, or was a moment ago."""
        now = asyncio.get_running_loop().time()
        if self._running is None or (self._running.done() and now >= self._good_until):
            self._running = asyncio.create_task(_check(self._ping))
            self._good_until = now + REMEMBER_SECONDS
        return await asyncio.shield(self._running)


async def _check(ping: Ping) -> DependencyHealth:
    started = time.perf_counter()
    status, error = "ok", None
    try:
        async with asyncio.timeout(PING_SECONDS):
            await ping()
    except TimeoutError:
        status, error = "unavailable", f"no answer within {PING_SECONDS:g} s"
    except Unavailable as unavailable:
        status, error = "unavailable", str(unavailable)
    except Degraded as degraded:
        status, error = "degraded", str(degraded)
    latency = round((time.perf_counter() - started) * 1000, 2)
    return DependencyHealth(status=status, latency_ms=latency, error=error)
