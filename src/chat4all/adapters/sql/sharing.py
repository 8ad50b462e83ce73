"""Files of equal content in SQL: which object they name.

A file is compared once. It joins one that was compared before, or else later ones join it: so no
file that others have joined moves, and all of equal content that were compared name one object.
"""

from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from chat4all.adapters.sql.file_rows import IS_THERE, change_file, replaced_id
from chat4all.adapters.sql.outbox import Now
from chat4all.adapters.sql.tables import files
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.types import ByBytes
from chat4all.domain.files import REPLACED_SECONDS, FileId, FileState

_IS_READY = files.c.state == FileState.READY.value
_WAITING = (
    select(files)
    .where(files.c.compare_at.is_not(None), _IS_READY, IS_THERE)
    .order_by(files.c.compare_at, ByBytes(files.c.file_id))
    .limit(bindparam("most"))
    .with_for_update()
)
_EQUAL = (
    select(files.c.object_key)
    .where(
        files.c.sha256 == bindparam("sha256"),
        files.c.size == bindparam("size"),
        files.c.compare_at.is_(None),
        _IS_READY,
        IS_THERE,
    )
    .limit(1)
    .with_for_update()
)
_REPLACED = insert(files).values(
    created_at=Now(),
    expires_at=Now() + REPLACED_SECONDS * 1000,
    # Garbage from the beginning: nobody has it, or can join it.
    given_until=0,
)


class SqlSharing:
    """The port `ports.sharing.Sharing`."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def share(self, limit: int) -> int:
        """Compare files; see `ports.sharing.Sharing`."""

        def share(connection: Connection) -> int:
            waiting = connection.execute(_WAITING, {"most": limit}).all()
            for row in waiting:
                _compare(connection, row)
            return len(waiting)

        return await self._database.write(share)


def _compare(connection: Connection, row: Any) -> None:
    content = {"sha256": row.sha256, "size": row.size}
    shared = connection.execute(_EQUAL, content).scalar()
    if shared is None:
        change_file(connection, row.file_id, compare_at=None)
        return
    change_file(connection, row.file_id, compare_at=None, object_key=shared)
    connection.execute(_REPLACED, _replaced(row))


def _replaced(row: Any) -> dict[str, object]:
    """Return the row of an object that is to be deleted.

    Its size still counts with the file's row.
    """
    return {
        "file_id": replaced_id(FileId(row.file_id)),
        "owner": row.owner,
        "size": 0,
        "name": "",
        "declared_type": "",
        "object_key": row.object_key,
        "store_upload": "",
        "upload_metadata": "",
        "state": FileState.READY.value,
        "received": 0,
        "fence": row.fence,
        "lease_until": 0,
    }
