"""The generation of a store: whether positions of clients mean what they meant (EXACTNESS 20h)."""

from typing import Protocol


class Generation(Protocol):
    """Tells the generations of a store apart."""

    @property
    def first(self) -> str | None:
        """The generation that a position without one is of; None where that is not known."""
        ...

    async def current(self) -> str:
        """Return an id that is another one once numbers may stand for other messages."""
        ...
