"""What the hub needs of a connection. `sockets.Socket` and `sockets.Credentials` satisfy these."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from starlette.types import Scope

Wrap: TypeAlias = Callable[[bytes, str], bytes]
"""Returns a frame's JSON as one kind of connection carries it; the text is its position, or ""."""


class LiveSocket(Protocol):
    """A connection that frames are written to, already wrapped."""

    @property
    def is_open(self) -> bool:
        """Whether anything can still be written."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether less than half of what may wait does."""
        ...

    def write(self, frames: bytes) -> None:
        """Write frames now; a connection for which too much waits closes itself."""
        ...

    def write_passing(self, frames: bytes) -> bool:
        """Write what may be lost; say whether it was written."""
        ...

    @property
    def has_drained(self) -> bool:
        """Whether everything that was written has left this process."""
        ...

    async def room(self) -> None:
        """Wait until a part of a replay can be written. Raises `ConnectionError`."""
        ...

    def write_part(self, frames: bytes) -> None:
        """Write a part of a replay now; it does not count as waiting."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection."""
        ...


class LiveCredentials(Protocol):
    """Who connects."""

    @property
    def token(self) -> str | None:
        """The access token; None: the first frame has it."""
        ...

    @property
    def client(self) -> str:
        """The address."""
        ...

    @property
    def scope(self) -> Scope:
        """The request."""
        ...
