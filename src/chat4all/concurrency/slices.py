"""Sequences in slices: what one request, one statement or one turn of the event loop may take."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def slices(of: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield all items in their order, at most `size` at a time."""
    for first in range(0, len(of), size):
        yield of[first : first + size]
