"""What the SQL adapters need of a database: to run their short functions, each a transaction."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Transactions(Protocol):
    """A database. `IntegrityError` passes; whatever else goes wrong in it is `Unavailable`.

    A function may be run several times until it has run whole and undisturbed. One that writes may
    even have been committed before it is run again, when the connection was lost at the commit: run
    again it must change nothing, or break a key and so raise `IntegrityError`.
    """

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, against one state of the database."""
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own; return once that is durable."""
        ...
