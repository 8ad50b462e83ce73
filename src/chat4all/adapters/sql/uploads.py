"""Uploads in SQL: who writes to them, how far they are, and what may be begun."""

import uuid
from dataclasses import asdict
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, case, func, insert, select

from chat4all.adapters.sql.conversation_rows import DISABLED, check_enabled
from chat4all.adapters.sql.file_rows import (
    FILE,
    IS_THERE,
    KEPT_MS,
    NO_SUCH_FILE,
    change_file,
    encode_progress,
    file_of,
    give_up,
    is_used,
    lock_file,
    upload_of,
)
from chat4all.adapters.sql.outbox import Now
from chat4all.adapters.sql.scans import SCAN_LEASE_MS
from chat4all.adapters.sql.tables import files, users
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import (
    AlreadyTaken,
    Busy,
    Conflict,
    Fenced,
    NotFound,
    NotSignedIn,
    QuotaReached,
)
from chat4all.domain.files import (
    LEASE_SECONDS,
    UNUSED_SECONDS,
    URLS_UNUSED_SECONDS,
    FileFacts,
    FileId,
    FileState,
    NewUpload,
    Progress,
    Quota,
    StoredFile,
    Upload,
    format_size,
)
from chat4all.domain.ids import Username
from chat4all.domain.scanning import UNSCANNED_SECONDS

LEASE_MS = LEASE_SECONDS * 1000

LEASE_LEFT_MAX_MS = 2 * LEASE_MS
"""With more left, the clock was set back. More than a whole lease can be left: a transaction's time
is that of its beginning, and one that began later may have been committed before it reads.
"""

# Uploads that a user begins at the same time wait for this row, for their quota.
_LOCK_USER = (
    select(users.c.disabled_at)
    .where(users.c.username == bindparam("username"), users.c.alias.is_(None))
    .with_for_update()
)
_OF_OWNER = FILE.where(files.c.owner == bindparam("username"), IS_THERE)
_OWN = select(
    func.coalesce(func.sum(files.c.size), 0),
    func.coalesce(func.sum(case((files.c.state == FileState.UPLOADING.value, 1), else_=0)), 0),
).where(files.c.owner == bindparam("username"), IS_THERE)
_ALL = select(func.coalesce(func.sum(files.c.size), 0)).where(files.c.emptied_at.is_(None))
_BEGIN = insert(files).values(
    created_at=Now(), expires_at=Now() + bindparam("unused", type_=BigInteger)
)


_HOW_TO_DELETE = (
    "GET /v1/files?order=largest lists yours; DELETE /v1/files/{file_id} deletes one that no "
    "message has, and one that messages have goes with the last of these"
)


class SqlUploads:
    """The port `ports.files.Uploads`. What changes an upload locks its row."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def create(self, upload: NewUpload, quota: Quota) -> Upload:
        """Begin one; see `ports.files.Uploads`."""

        def create(connection: Connection) -> Upload:
            owner = connection.execute(_LOCK_USER, {"username": upload.owner}).first()
            if owner is None:
                raise NotFound("no such user")
            if owner.disabled_at is not None:
                raise NotSignedIn(DISABLED)
            known = connection.execute(FILE, {"file": upload.file_id}).first()
            if known is None:
                _check_quota(connection, upload, quota)
                unused = URLS_UNUSED_SECONDS if upload.is_direct else UNUSED_SECONDS
                connection.execute(_BEGIN, _new_row(upload) | {"unused": unused * 1000})
            elif (known.owner, known.store_upload) != (upload.owner, upload.store_upload):
                raise AlreadyTaken("this file id is in use")
            return upload_of(_own(connection, upload.file_id, upload.owner))

        return await self._database.write(create)

    async def find(self, file_id: FileId, owner: Username) -> Upload:
        """Return an upload as it is now; see `ports.files.Uploads`."""
        return await self._database.read(
            lambda connection: upload_of(_own(connection, file_id, owner))
        )

    async def take(self, file_id: FileId, owner: Username, *, force: bool) -> Upload:
        """Take an upload to write to it; see `ports.files.Uploads`."""
        call = str(uuid.uuid4())

        def take(connection: Connection) -> Upload:
            row = _lock_own(connection, file_id, owner)
            if row.state != FileState.UPLOADING or row.holder == call:
                return upload_of(row)
            check_enabled(connection, owner)
            if 0 < row.lease_until - row.now <= LEASE_LEFT_MAX_MS:
                if row.received == row.size:
                    raise Busy("this upload is whole, and being finished: ask again in a while")
                if not force:
                    raise Busy("another request is writing to this upload: try again in a while")
            change_file(
                connection,
                file_id,
                fence=row.fence + 1,
                holder=call,
                lease_until=row.now + LEASE_MS,
                # It does not expire while it is held. Who takes it has heard of it.
                expires_at=max(row.expires_at, row.now + LEASE_MS, row.created_at + KEPT_MS),
            )
            return upload_of(_own(connection, file_id, owner))

        return await self._database.write(take)

    async def advance(self, file_id: FileId, fence: int, progress: Progress) -> None:
        """Keep progress, and renew the hold; see `ports.files.Uploads`."""
        kept = {"received": progress.offset, "progress": encode_progress(progress)}

        def advance(connection: Connection) -> None:
            row = _lock_held(connection, file_id, fence)
            if row.state != FileState.UPLOADING:
                return
            check_enabled(connection, row.owner)
            if progress.offset > row.size:
                raise Conflict("this is more than the upload has")
            change_file(
                connection,
                file_id,
                lease_until=row.now + LEASE_MS,
                expires_at=row.now + KEPT_MS,
                # What comes late, after more was noted, changes nothing.
                **(kept if progress.offset > row.received else {}),
            )

        await self._database.write(advance)

    async def release(self, file_id: FileId, fence: int) -> None:
        """Let go of an upload; see `ports.files.Uploads`."""

        def release(connection: Connection) -> None:
            try:
                _lock_held(connection, file_id, fence)
            except (NotFound, Fenced):
                return
            change_file(connection, file_id, lease_until=0)

        await self._database.write(release)

    async def finish(
        self, file_id: FileId, fence: int, facts: FileFacts, state: FileState
    ) -> StoredFile:
        """Make the upload a file; see `ports.files.Uploads`."""

        def finish(connection: Connection) -> StoredFile:
            row = _lock_held(connection, file_id, fence)
            if row.state != FileState.UPLOADING:
                return file_of(row)
            check_enabled(connection, row.owner)
            if row.received != row.size:
                raise Conflict("the upload is not whole")
            change_file(
                connection,
                file_id,
                state=state.value,
                progress=None,
                lease_until=0,
                created_at=row.now,
                **_waiting_from(row.now, state),
                compare_at=row.now if row.size else None,
                **asdict(facts),
            )
            return file_of(lock_file(connection, file_id))

        return await self._database.write(finish)

    async def end(self, file_id: FileId, owner: Username) -> None:
        """Give up an upload or a file; see `ports.files.Uploads`."""
        call = str(uuid.uuid4())

        def end(connection: Connection) -> None:
            known = connection.execute(FILE, {"file": file_id}).first()
            if known is not None and known.holder == call:
                return
            row = _lock_own(connection, file_id, owner)
            check_enabled(connection, owner)
            if is_used(connection, file_id):
                raise Conflict("a message has this file: delete the message")
            give_up(connection, row, call)

        await self._database.write(end)


def _waiting_from(now: int, state: FileState) -> dict[str, int | None]:
    if state is not FileState.CHECKING:
        return {"expires_at": now + KEPT_MS}
    # The process that finishes a file scans it, unless it ends before.
    return {"expires_at": now + UNSCANNED_SECONDS * 1000, "scan_at": now + SCAN_LEASE_MS}


def _new_row(upload: NewUpload) -> dict[str, object]:
    return {
        "file_id": upload.file_id,
        "owner": upload.owner,
        "size": upload.size,
        "name": upload.name,
        "declared_type": upload.media_type,
        "object_key": upload.key,
        "store_upload": upload.store_upload,
        "upload_metadata": upload.metadata,
        "is_direct": upload.is_direct,
        "state": FileState.UPLOADING.value,
        "received": 0,
        "progress": encode_progress(Progress()),
        "fence": 0,
        "lease_until": 0,
    }


def _check_quota(connection: Connection, upload: NewUpload, quota: Quota) -> None:
    used, begun = connection.execute(_OWN, {"username": upload.owner}).one()
    if begun >= quota.uploads_of_user:
        raise QuotaReached(
            f"you have {begun} uploads that are not whole yet: finish some of them, or delete "
            f"them. {_HOW_TO_DELETE}"
        )
    if quota.of_user is not None and used + upload.size > quota.of_user:
        raise QuotaReached(
            f"your files take {format_size(int(used))} of {format_size(quota.of_user)}, and this "
            f"one has {format_size(upload.size)}: delete some that you do not need. "
            f"{_HOW_TO_DELETE}"
        )
    if quota.in_all is not None:
        everything = connection.execute(_ALL).scalar_one()
        if everything + upload.size > quota.in_all:
            raise QuotaReached(
                "there is no room for more files here: delete some that you do not need, or ask "
                f"the people who run this server. {_HOW_TO_DELETE}"
            )


def _own(connection: Connection, file_id: FileId, owner: Username) -> Any:
    row = connection.execute(_OF_OWNER, {"file": file_id, "username": owner}).first()
    if row is None:
        raise NotFound(NO_SUCH_FILE)
    return row


def _lock_own(connection: Connection, file_id: FileId, owner: Username) -> Any:
    row = lock_file(connection, file_id)
    if row.owner != owner:
        raise NotFound(NO_SUCH_FILE)
    return row


def _lock_held(connection: Connection, file_id: FileId, fence: int) -> Any:
    row = lock_file(connection, file_id)
    if row.fence != fence:
        raise Fenced("another request has taken this upload over: ask for its offset")
    return row
