"""Connections that switch to another protocol (RFC 9110, section 7.8), and how they end."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import ceil
from typing import TypeAlias

from starlette.types import Scope

from chat4all.concurrency.slices import slices
from chat4all.http.server.sweeping import check

POLL_SECONDS = 0.05

SLICE = 250
"""Connections that are looked at in one go."""

TELLING_SHARE = 0.5
"""Of the time that all have to end, in which they are told."""

LATEST_SHARE = 0.8
"""Of that time, after which no one who is left waits any longer to be told."""

CATCHING_UP = 2
"""How much faster than planned they are told when the process has stood still meanwhile."""


class UpgradedProtocol(asyncio.Protocol, ABC):
    """The protocol that a connection is handed over to.

    `connection_made` gets the transport, and writes `101 Switching Protocols` itself;
    `data_received` gets every byte after the request, also those that came together with it.
    """

    __slots__ = ()

    @abstractmethod
    def shutdown(self) -> None:
        """Close in the protocol's way: the server ends. It is cut off if it takes too long."""

    def check(self, now: float) -> None:
        """Act on a state that lasts too long; see `sweeping.Timed`."""


Upgrade: TypeAlias = Callable[[Scope], UpgradedProtocol | None]
"""Returns the protocol to take over the connection of a request that asks for another one, by its
scope (method, path, query and headers); None to stay with HTTP and let the application answer.

Called only when a connection can be handed over: the request has no body and no earlier request is
unanswered. It must bound their number: they do not count as HTTP connections any more.
"""


class UpgradedConnections:
    """The connections of one server that were handed over."""

    def __init__(self) -> None:
        self.is_ending = False
        """Whether no more are accepted."""
        self._transports: dict[UpgradedProtocol, asyncio.Transport] = {}

    def __len__(self) -> int:
        return len(self._transports)

    def add(self, protocol: UpgradedProtocol, transport: asyncio.Transport) -> None:
        """Keep a connection until it is closed."""
        self._transports[protocol] = transport

    async def sweep(self) -> None:
        """Drop those that are closed, check the others; call it twice a second or so."""
        self._drop_closed()
        now = asyncio.get_running_loop().time()
        for some in slices(tuple(self._transports), SLICE):
            for protocol in some:
                check(protocol, now)
            # What they write may take milliseconds.
            await asyncio.sleep(0)

    async def end(self, seconds: float) -> None:
        """Close all, and wait for it; those that take longer than `seconds` are cut off.

        They are told one after the other, within a part of that time: their clients connect again
        as soon as they are told, to other servers. Where the process stands still for a while, the
        rest is not told in one go.
        """
        self.is_ending = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        protocols = tuple(self._transports)
        told = 0
        step = POLL_SECONDS / (seconds * TELLING_SHARE)
        while self._transports and (elapsed := loop.time() - began) < seconds:
            share = elapsed / (seconds * TELLING_SHARE) + step
            if elapsed < seconds * LATEST_SHARE:
                share = min(share, told / len(protocols) + step * CATCHING_UP)
            for protocol in protocols[told : (told := ceil(len(protocols) * share))]:
                protocol.shutdown()
            await asyncio.sleep(POLL_SECONDS)
            self._drop_closed()
        for transport in self._transports.values():
            transport.abort()
        self._transports.clear()

    def _drop_closed(self) -> None:
        closed = [
            protocol
            for protocol, transport in self._transports.items()
            if transport.is_closing() and not transport.get_write_buffer_size()
        ]
        for protocol in closed:
            del self._transports[protocol]
