"""Health: whether the process runs, and whether it has all that it needs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from fastapi import APIRouter, Response
from pydantic import BaseModel

from chat4all.domain.errors import Unavailable

PING_SECONDS = 2.0
"""Longer than this is as good as away."""

REMEMBER_SECONDS = 0.5
"""How long an answer holds: some pings write, and anybody may ask as often as they like."""

Ping = Callable[[], Awaitable[None]]


class Health(BaseModel):
    """The process runs."""

    status: str = "ok"


class DependencyHealth(BaseModel):
    """One dependency: `error` is null when it answered."""

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
        """Ask each dependency. 503 when one is away, with its error."""
        answers = await asyncio.gather(*[check.answer() for check in checks.values()])
        found = dict(zip(checks, answers, strict=True))
        well = all(dependency.error is None for dependency in found.values())
        if not well:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Readiness(status="ok" if well else "unavailable", dependencies=found)

    return router


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
    error = None
    try:
        async with asyncio.timeout(PING_SECONDS):
            await ping()
    except TimeoutError:
        error = f"no answer within {PING_SECONDS:g} s"
    except Unavailable as unavailable:
        error = str(unavailable)
    latency = round((time.perf_counter() - started) * 1000, 2)
    return DependencyHealth(
        status="ok" if error is None else "unavailable", latency_ms=latency, error=error
    )
