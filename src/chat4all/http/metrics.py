"""`GET /metrics`: what this process counted, and what others that it speaks for counted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from fastapi import APIRouter, Response

from chat4all.http.frame import RequestMeter

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SOURCE_SECONDS = 1.0
"""A source that takes longer is left out."""

Source = Callable[[], Awaitable[bytes]]
"""Returns metrics in Prometheus' text format, of names that no other source has."""


class Meter(RequestMeter, Protocol):
    """What counts the requests of a service, and tells."""

    source_failed: Callable[[], None]
    """Counts that another process' metrics were left out."""

    def text(self) -> bytes:
        """Return what was counted, in Prometheus' text format."""
        ...


class GatewayMeter(Meter, Protocol):
    """What counts the requests of a gateway."""

    accepted: Callable[[], None]
    """Counts a message that is answered with 202."""


_log = logging.getLogger(__name__)


def metrics_routes(
    own: Callable[[], bytes],
    others: Sequence[Source] = (),
    *,
    failed: Callable[[], None],
    seconds: float = SOURCE_SECONDS,
) -> APIRouter:
    """Return `/metrics`: `own`, then the `others`, asked all at once.

    One that fails or takes longer than `seconds` is left out, and `failed` is called.
    """
    router = APIRouter(tags=["Health"])

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
        found = await asyncio.gather(*[ask(source) for source in others])
        # Its own last: it counts the failures of the others.
        return Response(
            b"".join([own(), *found]),
            headers={"Content-Type": MEDIA_TYPE},
        )

    return router
