"""Further gateways of the installation that a test runs, with a live feed between them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from chat4all import __version__
from chat4all.adapters.embedded import EmbeddedFeed, EmbeddedProgress
from chat4all.adapters.embedded.folder import FolderGeneration
from chat4all.adapters.prometheus import GatewayMetrics
from chat4all.domain.events import LiveEvent, by_key
from chat4all.domain.people import UserSearch
from chat4all.gateway.live.live import Live
from chat4all.http.edge import Edge
from chat4all.http.limits import no_limits
from chat4all.http.problems import SLUG
from chat4all.processes.apps import make_gateway
from chat4all.processes.parts import GatewayPorts, Pings, SecurityPorts
from chat4all.processes.policy import Policy
from chat4all.wire.events import decode_events, encode_event, join_events
from tests.api.conftest import Api
from tests.attached import FakePictures


class SharedFeed:
    """Hands what anybody announces to every gateway, encoded as between processes."""

    def __init__(self) -> None:
        self.gateways: list[Any] = []
        self.keys: list[str] = []
        """Of everything that was announced."""
        self.events: list[LiveEvent] = []

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        for key, of_key in by_key(events).items():
            self.keys.append(key)
            self.events += of_key
            encoded = join_events(map(encode_event, of_key))
            for one in self.gateways:
                one.announced(key, partial(decode_events, encoded))
        for one in self.gateways:
            one.alive()


@asynccontextmanager
async def more_gateways(api: Api, count: int = 1) -> AsyncIterator[tuple[list[Live], SharedFeed]]:
    """Run further gateways on the same store, log and directory."""
    shared = SharedFeed()
    shared.gateways.append(api.parts.feed._listener)
    with patch.object(api.parts.feed, "announce", shared.announce):
        async with AsyncExitStack() as stack:
            lives = []
            for _ in range(count):
                feed = EmbeddedFeed()
                live = a_gateway(api, feed, shared)
                shared.gateways.append(feed._listener)
                await stack.enter_async_context(live.running())
                lives.append(live)
            yield lives, shared


def a_gateway(api: Api, feed: EmbeddedFeed, shared: SharedFeed) -> Live:
    parts = api.parts
    signing_in: Any = parts.live._parts.signing_in
    _, live = make_gateway(
        GatewayPorts(
            parts.people,
            parts.follower,
            SecurityPorts(signing_in._passwords, signing_in._tokens),
            parts.log,
            parts.store,
            feed,
            shared,
            Policy(signing_in._lifetimes, True, UserSearch.EVERYBODY, no_limits(), Edge()),
            Pings(),
            GatewayMetrics(__version__, SLUG),
            FolderGeneration(Path("nowhere"), "the only one"),
            FakePictures(),
            parts.store,
            EmbeddedProgress(parts.log, parts.store),
        )
    )
    return live
