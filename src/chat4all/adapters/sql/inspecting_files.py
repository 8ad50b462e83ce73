"""What is known of files, looked at from outside: how many there are, and where their bytes are."""

import sqlite3
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects import sqlite

from chat4all.adapters.sql.file_rows import IS_THERE
from chat4all.adapters.sql.tables import files
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.files import FileId, FileState, keys_of

_TAKEN = select(func.count(), func.coalesce(func.sum(files.c.size), 0)).where(IS_THERE)
_KEPT = (
    select(files.c.file_id, files.c.object_key, files.c.size, files.c.sha256)
    .where(IS_THERE, files.c.state.in_([FileState.READY.value, FileState.CHECKING.value]))
    .order_by(files.c.created_at.desc())
)
_KEYS = select(files.c.file_id, files.c.object_key)
_STILL = select(files.c.file_id).where(
    IS_THERE, files.c.file_id.in_(bindparam("asked", expanding=True))
)


class KeptFile(NamedTuple):
    """A whole file, and which bytes it has in the store."""

    file_id: FileId
    key: str
    size: int
    sha256: str


def kept_in(database: sqlite3.Connection) -> Sequence[KeptFile]:
    """Return the files of `FilesInspection.kept`, and write nothing: it may be a copy of a backup.

    None in a database of a release without files. Raises `sqlite3.Error`.
    """
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'files'").fetchone():
        return []
    query = _KEPT.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    return [KeptFile(FileId(row[0]), *row[1:]) for row in database.execute(str(query))]


class FilesInspection:
    """Looks at the files of a database."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def taken(self) -> tuple[int, int]:
        """Return how many files and uploads there are, and how many bytes count for the quota."""
        count, size = await self._database.read(lambda connection: connection.execute(_TAKEN).one())
        return int(count), int(size)

    async def kept(self) -> Sequence[KeptFile]:
        """Return all files whose bytes have to be in the store, the newest first."""
        rows = await self._database.read(lambda connection: connection.execute(_KEPT).all())
        return [KeptFile(FileId(row[0]), *row[1:]) for row in rows]

    async def keys(self) -> set[str]:
        """Return the keys of all files and uploads, also of those that are to be deleted.

        And of their thumbnails, but not of tails.
        """
        rows = await self._database.read(lambda connection: connection.execute(_KEYS).all())
        return {key for file_id, of_object in rows for key in keys_of(file_id, of_object, 0)}

    async def still(self, file_ids: Collection[FileId]) -> set[FileId]:
        """Return which of these files are still there."""
        asked = {"asked": list(file_ids)}
        found = await self._database.read(
            lambda connection: connection.execute(_STILL, asked).scalars().all()
        )
        return set(map(FileId, found))
