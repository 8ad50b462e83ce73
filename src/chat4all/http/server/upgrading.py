"""Connections that go on in another protocol (RFC 9110, section 7.8), and how they end."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

from starlette.types import Scope

POLL_SECONDS = 0.05


class UpgradedProtocol(asyncio.Protocol, ABC):
    """What a connection is handed over to.

    `connection_made` gets the transport, and writes `101 Switching Protocols` itself;
    `data_received` gets every byte after the request, those that came together with it too.
    """

    @abstractmethod
    def shutdown(self) -> None:
        """Say goodbye and close, because the server ends. What is open afterwards is cut."""


Upgrade: TypeAlias = Callable[[Scope], UpgradedProtocol | None]
"""Returns what takes over the connection of a request that asks for another protocol, by its scope
(method, path, query and headers); None when it stays HTTP and the application answers.

It is asked where a connection can be handed over at all: the request has no body and no request
before it is unanswered. It bounds how many there are: they do not count as HTTP any more.
"""


class UpgradedConnections:
    """The connections of one server that were handed over."""

    def __init__(self) -> None:
        self.is_ending = False
        """No more are taken."""
        self._transports: dict[UpgradedProtocol, asyncio.Transport] = {}

    def __len__(self) -> int:
        return len(self._transports)

    def add(self, protocol: UpgradedProtocol, transport: asyncio.Transport) -> None:
        """Keep a connection until it is closed."""
        self._transports[protocol] = transport

    def sweep(self) -> None:
        """Let go of those that are closed; call it twice a second or so."""
        closed = [
            protocol
            for protocol, transport in self._transports.items()
            if transport.is_closing() and not transport.get_write_buffer_size()
        ]
        for protocol in closed:
            del self._transports[protocol]

    async def end(self, seconds: float) -> None:
        """End all, and return when they are closed. What takes longer than `seconds` is cut."""
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
