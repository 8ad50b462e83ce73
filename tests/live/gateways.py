"""A second gateway of the installation that a test runs, with a live feed between the two."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from chat4all import __version__
from chat4all.adapters.embedded import EmbeddedFeed
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


class SharedFeed:
    """Hands what anybody announces to every gateway, encoded as between processes."""

    def __init__(self) -> None:
        self.gateways: list[Any] = []
        self.keys: list[str] = []
        """Of everything that was announced."""

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        for key, of_key in by_key(events).items():
            self.keys.append(key)
            encoded = join_events(map(encode_event, of_key))
            for one in self.gateways:
                one.announced(key, partial(decode_events, encoded))
        for one in self.gateways:
            one.alive()


@asynccontextmanager
async def second_gateway(api: Api) -> AsyncIterator[tuple[Live, SharedFeed]]:
    """Run another gateway on the same store, log and directory."""
    parts, feed, own = api.parts, EmbeddedFeed(), SharedFeed()
    first: Any = parts.live
    signing_in = first._parts.signing_in
    _, live = make_gateway(
        GatewayPorts(
            parts.people,
            parts.follower,
            SecurityPorts(signing_in._passwords, signing_in._tokens),
            parts.log,
            parts.store,
            feed,
            own,
            Policy(signing_in._lifetimes, True, UserSearch.EVERYBODY, no_limits(), Edge()),
            Pings(),
            GatewayMetrics(__version__, SLUG),
        )
    )
    own.gateways = [parts.feed._listener, feed._listener]
    with patch.object(parts.feed, "announce", own.announce):
        async with live.running():
            yield live, own
