"""Whether the metadata service signs tokens with the same `SECRET_KEY` as we do."""

import asyncio
import time
from contextlib import suppress

from chat4all.adapters.metadata_http.service import MetadataService
from chat4all.domain.errors import Degraded, NotFound, Unavailable
from chat4all.ports.health import ASIDE_PING_SECONDS
from chat4all.wire import internal

COMPARE_EVERY_SECONDS = 30.0

SECRETS_DIFFER = (
    "the metadata service at {url} has another SECRET_KEY, so that tokens which are good here are "
    "answered with 401 elsewhere: set the same SECRET_KEY for all gateways and metadata services"
)


class SameSecret:
    """Compares the keys now and then. `proof` proves that we have ours without revealing it."""

    def __init__(self, service: MetadataService, url: str, proof: bytes) -> None:
        self._service = service
        self._url = url
        self._proof = proof
        self._same = True
        self._ask_again = 0.0

    async def ping(self) -> None:
        """Raise `Degraded` when they differ. An unavailable service is reported elsewhere."""
        if time.monotonic() >= self._ask_again:
            # The service may be of an earlier release.
            with suppress(Unavailable, NotFound, TimeoutError):
                async with asyncio.timeout(ASIDE_PING_SECONDS):
                    self._same = await self.ask()
                self._ask_again = time.monotonic() + COMPARE_EVERY_SECONDS
        if not self._same:
            raise Degraded(SECRETS_DIFFER.format(url=self._url))

    async def ask(self) -> bool:
        """Ask the service whether it accepts tokens signed with our key."""
        question = internal.SameSecret(self._proof)
        return bool(await self._service.ask("same_secret", question, bool, writes=False))
