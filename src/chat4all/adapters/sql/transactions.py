"""What the SQL adapters need of a database: running short functions, each in a transaction."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Transactions(Protocol):
    """A database. `IntegrityError` passes; every other database error is `Unavailable`.

    A function may run several times until its transaction succeeds. One that writes may even have
    been committed before it runs again, when the connection was lost at the commit: then it must
    change nothing, or violate a key and so raise `IntegrityError`.
    """

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, against one state of the database."""
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own; return once that is durable."""
        ...
