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
        names, checks = pings.keys(), [_check(ping) for ping in pings.values()]
        found = dict(zip(names, await asyncio.gather(*checks), strict=True))
        well = all(dependency.error is None for dependency in found.values())
        if not well:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Readiness(status="ok" if well else "unavailable", dependencies=found)

    return router


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
