"""Noticing that a server has another database than before: one that was dropped and made anew."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy import Connection

from chat4all.adapters.sql.schema import read_id
from chat4all.adapters.sql.server import PUBLIC
from chat4all.adapters.sql.server_schema import check_revision
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import Unavailable

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How often the id is looked at. Another database may be read and written for as long, and for as
long as a look takes, until it is noticed: comparing in each transaction would cost a statement."""

_OTHER = (
    "DATABASE_URL leads to another database than when this service started, so that its users are "
    "others: put the former one back, or restart the service if this is on purpose"
)


class SameDatabase:
    """A database, for as long as its id is the one that this process met first.

    `chat4all migrate` gives it the id, and nothing else does: a service that met one without would
    otherwise make it its own.
    """

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._known: str | None = None
        self._is_other = False

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads; see `Transactions`."""
        self._check()
        return await self._database.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own; see `Transactions`."""
        self._check()
        return await self._database.write(work)

    async def ping(self) -> None:
        """Return while the database is usable and the one of before; else `Unavailable`."""
        await check_revision(self._database)
        await self._compare()
        self._check()

    async def look(self) -> None:
        """Compare the id. A database that does not answer is what `ping` complains of."""
        with suppress(Unavailable):
            await self._compare()

    async def _compare(self) -> None:
        found = await self._database.read(read_id)
        if self._known is None:
            if found is None:
                raise Unavailable("the database has no id yet: run `chat4all migrate`")
            self._known = found
        self._is_other = found != self._known

    def _check(self) -> None:
        if self._is_other:
            raise Unavailable(_OTHER, PUBLIC)
