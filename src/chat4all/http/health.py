"""Health: whether the process runs, and whether its dependencies work."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response

from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.periodic import UNEXPECTED, periodically
from chat4all.domain.errors import Degraded, Unavailable
from chat4all.http.answers import json_response
from chat4all.http.openapi import json_content
from chat4all.http.routes import api_router
from chat4all.ports.health import Ping
from chat4all.wire.health import DependencyHealth, Health, PartStatus, Readiness

PING_SECONDS = 2.0
"""A dependency that takes longer to answer counts as unavailable."""

ANSWER_SECONDS = 0.5
"""How long an answer is reused: some pings write, and anybody may ask at any rate."""

WATCH_SECONDS = 5.0
"""How often a process pings its dependencies for its log."""

_log = logging.getLogger(__name__)


def health_routes(pings: Mapping[str, Ping]) -> APIRouter:
    """Return `/health`, `/health/live` and, from the ports' pings, `/health/ready`."""
    router = api_router("Health")
    checks = {name: _Check(ping) for name, ping in pings.items()}

    alive: dict[int | str, dict[str, Any]] = {200: {"content": json_content(Health)}}

    @router.get("/health", summary="The process runs", responses=alive)
    @router.get("/health/live", summary="The process runs (for a liveness probe)", responses=alive)
    async def live() -> Response:
        """Answer as long as the event loop turns; says nothing about dependencies."""
        return json_response(Health())

    @router.get(
        "/health/ready",
        summary="Everything it needs is there",
        responses={
            200: {"content": json_content(Readiness)},
            503: {"description": "Something is unavailable.", "content": json_content(Readiness)},
        },
    )
    async def ready() -> Response:
        """Ask each dependency. 503 when one is unavailable, with its error."""
        answers = await asyncio.gather(*[check.answer() for check in checks.values()])
        dependencies = dict(zip(checks, answers, strict=True))
        if any(dependency.status == PartStatus.UNAVAILABLE for dependency in answers):
            view = Readiness(PartStatus.UNAVAILABLE, dependencies)
            return json_response(view, status=HTTPStatus.SERVICE_UNAVAILABLE)
        return json_response(Readiness(PartStatus.OK, dependencies))

    return router


@asynccontextmanager
async def watched(pings: Mapping[str, Ping], seconds: float = WATCH_SECONDS) -> AsyncIterator[None]:
    """Log each outage of a dependency, each cause once, and its end."""
    async with AsyncExitStack() as stack:
        for part, ping in pings.items():
            outages = OutageLog(_log, "a part is not well", "a part is well again", part=part)
            look = partial(_look, ping, outages)
            await stack.enter_async_context(periodically(f"watching {part}", look, seconds))
        yield


async def _look(ping: Ping, outages: OutageLog) -> None:
    if (error := (await _check(ping)).error) is None:
        outages.succeeded()
    else:
        outages.failed(Unavailable(error))


class _Check:
    """One dependency's ping, shared by all requests while it runs and shortly after."""

    def __init__(self, ping: Ping) -> None:
        self._ping = ping
        self._running: asyncio.Task[DependencyHealth] | None = None
        self._good_until = 0.0

    async def answer(self) -> DependencyHealth:
        """Return the dependency's state now or a moment ago."""
        now = asyncio.get_running_loop().time()
        if self._running is None or (self._running.done() and now >= self._good_until):
            self._running = asyncio.create_task(_check(self._ping))
            self._good_until = now + ANSWER_SECONDS
        return await asyncio.shield(self._running)


async def _check(ping: Ping) -> DependencyHealth:
    started = time.perf_counter()
    status, error = PartStatus.OK, None
    try:
        async with asyncio.timeout(PING_SECONDS):
            await ping()
    except TimeoutError:
        status, error = PartStatus.UNAVAILABLE, f"no answer within {PING_SECONDS:g} s"
    except Unavailable as unavailable:
        status, error = PartStatus.UNAVAILABLE, str(unavailable)
    except Degraded as degraded:
        status, error = PartStatus.DEGRADED, str(degraded)
    except Exception:
        # A defect, in the ping or in what it asks: not known to work is not ready.
        _log.exception("a part cannot be asked")
        status, error = PartStatus.UNAVAILABLE, UNEXPECTED
    latency = round((time.perf_counter() - started) * 1000, 2)
    return DependencyHealth(status, latency, error)
