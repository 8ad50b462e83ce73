"""Whether a dependency can do its work."""

from collections.abc import Awaitable, Callable
from typing import Protocol

Ping = Callable[[], Awaitable[None]]
"""Returns while a dependency works; raises `Unavailable`, or `Degraded`, with one sentence."""

ASIDE_PING_SECONDS = 1.5
"""For a part whose silence is not to make a process unready, and so is told as `Degraded`: less
than what `/health/ready` waits for any part, which is unavailable then."""


class CanPing(Protocol):
    """A dependency that says by itself whether it can do its work."""

    async def ping(self) -> None:
        """Return while it can; see `Ping`."""
        ...
