"""TLS handshakes that are given up."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""What httpx2 calls as its `trace` extension, with the name of what has happened."""


def closing_handshakes() -> Trace:
    """Return what closes the connection of one request whose handshake does not come to its end.

    httpcore2 closes it after an error, but not when the task is cancelled, as by a deadline: then
    it stays open until the garbage collector comes by.
    """
    connection: Any = None

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        nonlocal connection
        if event.endswith(".connect_tcp.complete"):
            connection = info["return_value"]
        elif event.endswith(".start_tls.failed") and connection is not None:
            await connection.aclose()

    return trace
