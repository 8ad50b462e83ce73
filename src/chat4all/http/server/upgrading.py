"""Connections that switch to another protocol (RFC 9110, section 7.8), and how they end."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

from starlette.types import Scope

POLL_SECONDS = 0.05


class UpgradedProtocol(asyncio.Protocol, ABC):
    """The protocol that a connection is handed over to.

    `connection_made` gets the transport, and writes `101 Switching Protocols` itself;
    `data_received` gets every byte after the request, also those that came together with it.
    """

    @abstractmethod
    def shutdown(self) -> None:
        """Close in the protocol's way: the server ends. It is cut off if it takes too long."""


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

    def sweep(self) -> None:
        """Drop those that are closed; call it twice a second or so."""
        closed = [
            protocol
            for protocol, transport in self._transports.items()
            if transport.is_closing() and not transport.get_write_buffer_size()
        ]
        for protocol in closed:
            del self._transports[protocol]

    async def end(self, seconds: float) -> None:
        """Close all and wait for it; those that take longer than `seconds` are cut off."""
        self.is_ending = True
        for protocol in tuple(self._transports):
            protocol.shutdown()
        deadline = asyncio.get_running_loop().time() + seconds
        self.sweep()
        while self._transports and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            self.sweep()
        for transport in self._transports.values():
            transport.abort()
        self._transports.clear()
