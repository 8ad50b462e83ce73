"""`GET /metrics`: the metrics of this process, and of others that it reports for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from fastapi import APIRouter, Response

from chat4all.http.frame import RequestMeter
from chat4all.http.routes import api_router
from chat4all.ports.sockets import SocketCounts

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SOURCE_SECONDS = 1.0
"""A source that takes longer to answer is left out."""

Source = Callable[[], Awaitable[bytes]]
"""Returns metrics in Prometheus' text format; no two sources have a name in common."""


class Meter(RequestMeter, Protocol):
    """The metrics of a service."""

    source_failed: Callable[[], None]
    """Counts that another process' metrics were left out."""

    def text(self) -> bytes:
        """Return what was counted, in Prometheus' text format."""
        ...


class GatewayMeter(Meter, Protocol):
    """The metrics of a gateway."""

    accepted: Callable[[], None]
    """Counts a message that is answered with 202."""

    def watch_sockets(self, counts: SocketCounts) -> None:
        """Report these from now on."""
        ...


_log = logging.getLogger(__name__)


def metrics_routes(
    own: Callable[[], bytes],
    others: Sequence[Source] = (),
    *,
    failed: Callable[[], None],
    seconds: float = SOURCE_SECONDS,
) -> APIRouter:
    """Return `/metrics`: `own` and the `others`, asked all at once.

    One that fails or takes longer than `seconds` is left out, and `failed` is called.
    """
    router = api_router("Health")

    async def ask(source: Source) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await source()
        except Exception as error:
            failed()
            _log.warning("metrics are missing", extra={"cause": repr(error)})
            return b""

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={
            200: {
                "description": "Prometheus' text format.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }
        },
    )
    async def metrics() -> Response:
        """Return every metric; docs/operations/metrics.md says what each means."""
        texts = await asyncio.gather(*[ask(source) for source in others])
        # Its own last, because it counts failures of the others.
        return Response(
            b"".join([own(), *texts]),
            headers={"Content-Type": MEDIA_TYPE},
        )

    return router
