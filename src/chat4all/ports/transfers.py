"""What a gateway counts of uploads and downloads, for metrics."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Direction: TypeAlias = Literal["upload", "download"]


@dataclass(slots=True)
class TransferCounts:
    """Of one process since its start. Plain numbers: some are counted for every piece of a file."""

    received: int = 0
    """Bytes of uploads that have arrived, whatever became of them."""
    sent: int = 0
    """Bytes of files and thumbnails that were sent."""
    active: Counter[Direction] = field(default_factory=Counter)
    """Transfers now."""
    stalls: Counter[Direction] = field(default_factory=Counter)
    """Transfers that were cut off because next to nothing was sent or taken."""
