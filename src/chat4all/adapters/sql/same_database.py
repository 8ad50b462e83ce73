"""Noticing that a server has another database than before: one that was dropped and made anew."""

import uuid
from contextlib import suppress

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql.server_schema import check_revision
from chat4all.adapters.sql.tables import installation
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import Unavailable

_ID = select(installation.c.installation_id)
_ADD = insert(installation)


class SameDatabase:
    """Compares the database's id with the one that this process met first."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._known: str | None = None

    async def ping(self) -> None:
        """Return while the database is usable and the one of before; else `Unavailable`."""
        await check_revision(self._database)
        found = await self._database.read(_read_id) or await self._identify()
        if self._known is None:
            self._known = found
        elif found != self._known:
            raise Unavailable(
                "DATABASE_URL leads to another database than when this service started, so that "
                "its users are others: put the former one back, or restart the service if this is "
                "on purpose"
            )

    async def _identify(self) -> str | None:
        """Give the database an id; another service may do the same meanwhile."""
        row = {"only_row": 1, "installation_id": str(uuid.uuid4())}
        with suppress(IntegrityError):  # it has one by now
            await self._database.write(lambda connection: connection.execute(_ADD, row).rowcount)
        return await self._database.read(_read_id)


def _read_id(connection: Connection) -> str | None:
    found: str | None = connection.execute(_ID).scalar()
    return found
