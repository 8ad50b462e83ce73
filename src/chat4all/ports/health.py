"""Whether a dependency can do its work."""

from collections.abc import Awaitable, Callable
from typing import Protocol

Ping = Callable[[], Awaitable[None]]
"""Returns while a dependency works; raises `Unavailable`, or `Degraded`, with one sentence."""


class CanPing(Protocol):
    """A dependency that says by itself whether it can do its work."""

    async def ping(self) -> None:
        """Return while it can; see `Ping`."""
        ...
