"""The event loop of the services: uvloop's, whose connections can be given up at any moment."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvloop


class ServiceLoop(uvloop.Loop):
    """Resolves names before it connects.

    uvloop's own `create_connection` leaves the look-up of a name running when its caller is
    cancelled or times out, and asyncio reports the look-up's failure later: "Future exception was
    never retrieved". Whoever connects, our code or a driver's, has a deadline.
    """

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        **options: Any,
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """Connect to the first address of a host that answers; see `asyncio`."""
        connect: Any = super().create_connection
        if host is None:
            return await connect(protocol_factory, host, port, **options)  # type: ignore[no-any-return]
        found = await self.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags
        )
        if options.get("ssl") and options.get("server_hostname") is None:
            options["server_hostname"] = host
        failed: OSError | None = None
        for address in dict.fromkeys(str(info[4][0]) for info in found):
            try:
                return await connect(protocol_factory, address, port, **options)  # type: ignore[no-any-return]
            except OSError as error:
                failed = failed or error
        raise failed or OSError(f"{host} has no address")
