"""Files of equal content in SQL: which object they name.

A file is compared once. It joins the newest that was compared before, or else later ones join it:
so no file that others have joined moves. All of equal content that were compared name one object,
but for those whose object the store has lost.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, select

from chat4all.adapters.sql.file_rows import FILE, IS_THERE, change_file, replaced_id
from chat4all.adapters.sql.outbox import Now
from chat4all.adapters.sql.tables import files
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.types import ByBytes
from chat4all.domain.files import REPLACED_SECONDS, FileId, FileState
from chat4all.domain.sharing import Candidate

_IS_READY = files.c.state == FileState.READY.value
_IS_WAITING = and_(files.c.compare_at.is_not(None), _IS_READY, IS_THERE)
_WAITING = (
    select(files)
    .where(_IS_WAITING)
    .order_by(files.c.compare_at, ByBytes(files.c.file_id))
    .limit(bindparam("most"))
)
_STILL_WAITING = FILE.where(_IS_WAITING).with_for_update()
# The newest: where the store has lost an object, those that come later find the first whole one.
_EQUAL = (
    select(files.c.object_key)
    .where(
        files.c.sha256 == bindparam("sha256"),
        files.c.size == bindparam("size"),
        files.c.compare_at.is_(None),
        _IS_READY,
        IS_THERE,
    )
    .order_by(files.c.created_at.desc(), ByBytes(files.c.file_id))
    .limit(1)
)
_EQUAL_LOCKED = _EQUAL.with_for_update()
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

    async def candidates(self, limit: int) -> Sequence[Candidate]:
        """Return files that wait; see `ports.sharing.Sharing`."""

        def candidates(connection: Connection) -> Sequence[Candidate]:
            waiting = connection.execute(_WAITING, {"most": limit}).all()
            return [
                Candidate(
                    FileId(row.file_id),
                    row.size,
                    connection.execute(_EQUAL, _content(row)).scalar(),
                )
                for row in waiting
            ]

        return await self._database.read(candidates)

    async def compared(self, candidate: Candidate, *, joins: bool) -> None:
        """Note that a file was compared; see `ports.sharing.Sharing`."""

        def compared(connection: Connection) -> None:
            row = connection.execute(_STILL_WAITING, {"file": candidate.file_id}).first()
            if row is None:
                return
            # Both of two files that are compared at once may have found nobody to join.
            if connection.execute(_EQUAL_LOCKED, _content(row)).scalar() != candidate.key:
                return
            if not joins:
                change_file(connection, row.file_id, compare_at=None)
                return
            change_file(connection, row.file_id, compare_at=None, object_key=candidate.key)
            connection.execute(_REPLACED, _replaced(row))

        await self._database.write(compared)


def _content(row: Any) -> dict[str, object]:
    return {"sha256": row.sha256, "size": row.size}


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
