"""Files that wait for their scan, in SQL: given to one gateway at a time, then released or refused.

`scan_at` is set exactly while a file waits: from then on any gateway may take it.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, func, or_, select, update

from chat4all.adapters.sql.audit import append_audit_entry
from chat4all.adapters.sql.file_rows import (
    IS_THERE,
    KEPT_MS,
    change_file,
    file_of,
    lock_file,
)
from chat4all.adapters.sql.outbox import Now
from chat4all.adapters.sql.tables import files
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.acting import Actor
from chat4all.domain.errors import NotFound
from chat4all.domain.files import FileId, FileState, StoredFile
from chat4all.domain.ids import Username
from chat4all.domain.scanning import SCAN_LEASE_SECONDS, Verdict

SCAN_LEASE_MS = SCAN_LEASE_SECONDS * 1000
FILE_REFUSED = "file-refused"
"""The action in the audit."""

_WAITING = (
    select(files)
    # Later than that only where the clock was ahead and was set right: see `LEASE_LEFT_MAX_MS`. A
    # file that is scanned twice does no harm: the first verdict counts.
    .where(or_(files.c.scan_at <= Now(), files.c.scan_at > Now() + 2 * SCAN_LEASE_MS), IS_THERE)
    .where(files.c.owner.not_in(bindparam("but_of", expanding=True)))
    .order_by(files.c.scan_at)
    .limit(bindparam("most"))
    .with_for_update()
)
_ALL_WAITING = select(func.count()).select_from(files).where(files.c.scan_at.is_not(None), IS_THERE)
_GIVE = (
    update(files)
    .where(files.c.file_id.in_(bindparam("chosen", expanding=True)), files.c.scan_at.is_not(None))
    .values(scan_at=Now() + SCAN_LEASE_MS)
)


class SqlScans:
    """The port `ports.scanning.Scans`."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def take(self, limit: int, but_of: Collection[Username] = ()) -> Sequence[StoredFile]:
        """Return files to scan; see `ports.scanning.Scans`."""

        def take(connection: Connection) -> Sequence[StoredFile]:
            asked = {"most": limit, "but_of": [*but_of]}
            taken = [file_of(row) for row in connection.execute(_WAITING, asked)]
            if taken:
                connection.execute(_GIVE, {"chosen": [file.file_id for file in taken]})
            return taken

        return await self._database.write(take)

    async def waiting(self) -> int:
        """Return how many files are held back; see `ports.scanning.Scans`."""
        return await self._database.read(
            lambda connection: int(connection.execute(_ALL_WAITING).scalar_one())
        )

    async def renew(self, file_id: FileId) -> None:
        """Keep a file from others for another while; see `ports.scanning.Scans`."""
        await self._database.write(
            lambda connection: connection.execute(_GIVE, {"chosen": [file_id]}).rowcount
        )

    async def settle(self, file_id: FileId, verdict: Verdict) -> StoredFile | None:
        """Release a file or refuse it; see `ports.scanning.Scans`."""

        def settle(connection: Connection) -> StoredFile | None:
            try:
                row = lock_file(connection, file_id)
            except NotFound:
                return None
            if row.state != FileState.CHECKING:
                return None if row.state == FileState.UPLOADING else file_of(row)
            seen = verdict.picture
            change_file(
                connection,
                file_id,
                state=(FileState.READY if verdict.found is None else FileState.REFUSED).value,
                scan_at=None,
                expires_at=row.now + KEPT_MS,
                width=seen and seen.width,
                height=seen and seen.height,
                blurhash=seen and seen.blurhash,
            )
            if verdict.found is not None:
                details = {"file_id": str(file_id), "found": verdict.found}
                append_audit_entry(
                    connection, Actor(), FILE_REFUSED, username=row.owner, details=details
                )
            return file_of(lock_file(connection, file_id))

        return await self._database.write(settle)
