"""Whether a dependency can do its work."""

from collections.abc import Awaitable, Callable

Ping = Callable[[], Awaitable[None]]
"""Returns while a dependency works; raises `Unavailable`, or `Degraded`, with one sentence."""
