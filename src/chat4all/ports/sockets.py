"""What a gateway counts of its WebSockets, for metrics."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class SocketCounts:
    """Of one process since its start. Plain numbers: one is counted for every socket and frame."""

    open: int = 0
    """Now, those included that are closing."""
    received: int = 0
    """Frames of any kind."""
    written: int = 0
    """Writes, each of one frame or of several together."""
    dropped: int = 0
    """Writes of what may be lost, left out because too much was waiting for that socket."""
    closes: Counter[str] = field(default_factory=Counter)
    """By close code; 1006 where the connection was lost, `client` where the client closed."""
