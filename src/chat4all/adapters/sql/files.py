"""Whole files in SQL: who may have them, and what is to be deleted from the store."""

from collections.abc import Sequence, Set
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from chat4all.adapters.sql.file_rows import (
    AT_ONCE,
    FILE,
    IS_THERE,
    IS_WHOLE,
    NO_SUCH_FILE,
    change_file,
    file_of,
    give_up,
    is_used,
    lock_file,
    replaced_id,
    upload_of,
)
from chat4all.adapters.sql.file_uses import CHECK_MS, OF_MESSAGE, doubt_again, of_message
from chat4all.adapters.sql.outbox import Now, now_ms
from chat4all.adapters.sql.own_files import own_files
from chat4all.adapters.sql.steady_clock import SteadyClock
from chat4all.adapters.sql.tables import file_uses, files, members, users
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.types import ByBytes
from chat4all.domain.errors import NotFound
from chat4all.domain.files import (
    GARBAGE_SECONDS,
    LATE_SECONDS,
    FileId,
    FileState,
    FileUse,
    Garbage,
    StoredFile,
    Upload,
    keys_of,
)
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.own_files import FileOrder, FilePlace, OwnFile
from chat4all.domain.roles import NO_SUCH_CONVERSATION
from chat4all.domain.scanning import check_ready

_THROUGH_A_CONVERSATION = select(file_uses.c.file_id).join(
    members, members.c.conversation_id == file_uses.c.conversation_id
)
_FOR_VIEWER = FILE.where(
    IS_THERE,
    IS_WHOLE,
    ~select(users.c.username)
    .where(users.c.username == bindparam("viewer"), users.c.disabled_at.is_not(None))
    .exists(),
    or_(
        files.c.owner == bindparam("viewer"),
        _THROUGH_A_CONVERSATION.where(
            file_uses.c.file_id == bindparam("file"), members.c.username == bindparam("viewer")
        ).exists(),
    ),
)
_IS_MEMBER = select(members.c.role).where(
    members.c.conversation_id == bindparam("conversation"),
    members.c.username == bindparam("sender"),
)
_USES = select(file_uses.c.file_id).where(OF_MESSAGE).order_by(ByBytes(file_uses.c.file_id))
_USE = insert(file_uses).values(check_at=Now() + CHECK_MS)
_DETACH = delete(file_uses).where(OF_MESSAGE)
_ANY_WHOLE = select(files.c.file_id).where(IS_THERE, IS_WHOLE).limit(1)
_BYTES = select(func.coalesce(func.sum(files.c.size), 0)).where(
    files.c.owner == bindparam("username"), IS_THERE
)
_OF_OWNER = (
    select(files)
    .where(files.c.owner == bindparam("username"), IS_THERE)
    .order_by(files.c.created_at, ByBytes(files.c.file_id))
)
_GARBAGE = (
    select(files.c.file_id, files.c.state, files.c.store_upload, files.c.object_key, files.c.fence)
    .where(
        files.c.expires_at <= bindparam("until"),
        or_(
            files.c.given_until.is_(None),
            files.c.given_until <= Now(),
            # Given while the clock was ahead.
            files.c.given_until > Now() + 2 * LATE_SECONDS * 1000,
        ),
    )
    # What could not be deleted the last time comes after what was not tried yet.
    .order_by(func.coalesce(files.c.given_until, 0), files.c.expires_at)
    .limit(bindparam("most"))
    .with_for_update()
)
_CHOSEN = files.c.file_id.in_(bindparam("chosen", expanding=True))
_GIVE = (
    update(files)
    .where(_CHOSEN)
    .values(expires_at=AT_ONCE, given_until=Now() + GARBAGE_SECONDS * 1000)
)
# An object that none of these names is never named again: a file joins only one that is there.
_NAMED = select(files.c.object_key).where(
    files.c.object_key.in_(bindparam("keys", expanding=True)), files.c.given_until.is_(None)
)
# With a file goes the object that it had before it came to share one.
_GIVE_SOON = update(files).where(_CHOSEN, files.c.given_until == 0).values(expires_at=AT_ONCE)
_FORGET = delete(files).where(
    _CHOSEN, files.c.given_until.is_not(None), files.c.emptied_at <= Now() - LATE_SECONDS * 1000
)
_EMPTIED = (
    update(files)
    .where(
        _CHOSEN,
        files.c.given_until.is_not(None),
        # Later than now: the clock was ahead. It was emptied just now once more.
        or_(files.c.emptied_at.is_(None), files.c.emptied_at > Now()),
    )
    .values(emptied_at=Now(), given_until=Now() + LATE_SECONDS * 1000)
)


class SqlFiles:
    """The port `ports.files.Files`."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._clock = SteadyClock()

    async def find(self, file_id: FileId, viewer: Username) -> StoredFile:
        """Return a file to those who may have it; see `ports.files.Files`."""
        return await self._database.read(lambda connection: _find(connection, file_id, viewer))

    async def attach(self, use: FileUse) -> StoredFile:
        """Note that a message will name a file; see `ports.files.Files`."""
        message = of_message(use.conversation_id, use.message_id, use.sender_id)

        def attach(connection: Connection) -> StoredFile:
            row = lock_file(connection, use.file_id)
            found = _find(connection, use.file_id, use.sender_id)
            check_ready(found)
            if connection.execute(_IS_MEMBER, message).first() is None:
                raise NotFound(NO_SUCH_CONVERSATION)
            if use.file_id not in connection.execute(_USES, message).scalars().all():
                connection.execute(_USE, use._asdict())
            else:
                doubt_again(connection, message)
            if row.expires_at is not None:
                change_file(connection, use.file_id, expires_at=None)
            return found

        return await self._database.write(attach)

    async def detach(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> None:
        """Note that a message no longer names its file; see `ports.files.Files`."""
        message = of_message(conversation, message_id, sender)

        def detach(connection: Connection) -> None:
            named = connection.execute(_USES, message).scalars().all()
            rows = [lock_file(connection, FileId(one)) for one in named]
            connection.execute(_DETACH, message)
            for row in rows:
                if not is_used(connection, row.file_id):
                    give_up(connection, row)

        await self._database.write(detach)

    async def own(
        self, owner: Username, order: FileOrder, limit: int, after: FilePlace | None = None
    ) -> Sequence[OwnFile]:
        """Return a page of a user's files and uploads; see `ports.files.Files`."""
        return await self._database.read(
            lambda connection: own_files(connection, owner, order, limit, after)
        )

    async def of_owner(self, owner: Username) -> Sequence[Upload | StoredFile]:
        """Return all files of a user, and the uploads that are not whole yet; for an operator."""
        rows = await self._database.read(
            lambda connection: connection.execute(_OF_OWNER, {"username": owner}).all()
        )
        return [
            upload_of(row) if row.state == FileState.UPLOADING else file_of(row) for row in rows
        ]

    async def has_any(self) -> bool:
        """Say whether there is any file that is whole."""
        return await self._database.read(
            lambda connection: connection.execute(_ANY_WHOLE).first() is not None
        )

    async def used(self, owner: Username) -> int:
        """Return how many bytes of a user count; see `ports.files.Files`."""
        return await self._database.read(
            lambda connection: int(connection.execute(_BYTES, {"username": owner}).scalar_one())
        )

    async def garbage(self, limit: int) -> Sequence[Garbage]:
        """Return what is to be deleted from the store; see `ports.files.Files`."""

        def give(connection: Connection) -> Sequence[Garbage]:
            now = now_ms(connection)
            # By a clock that is ahead for a moment, uploads under way seem to have expired.
            until = now if self._clock.is_steady(now / 1000) else AT_ONCE
            rows = connection.execute(_GARBAGE, {"most": limit, "until": until}).all()
            if not rows:
                return []
            chosen = [row.file_id for row in rows]
            connection.execute(_GIVE, {"chosen": chosen})
            connection.execute(_GIVE_SOON, {"chosen": [*map(replaced_id, chosen)]})
            keys = {"keys": [row.object_key for row in rows]}
            named = set(connection.execute(_NAMED, keys).scalars())
            return [_garbage_of(row, named) for row in rows]

        return await self._database.write(give)

    async def forget(self, file_ids: Sequence[FileId]) -> None:
        """Drop what is known of garbage; see `ports.files.Files`."""
        if file_ids:
            chosen = {"chosen": list(file_ids)}

            def forget(connection: Connection) -> None:
                connection.execute(_FORGET, chosen)
                connection.execute(_EMPTIED, chosen)

            await self._database.write(forget)


def _find(connection: Connection, file_id: FileId, viewer: Username) -> StoredFile:
    row = connection.execute(_FOR_VIEWER, {"file": file_id, "viewer": viewer}).first()
    if row is None:
        raise NotFound(NO_SUCH_FILE)
    return file_of(row)


def _garbage_of(row: Any, named: Set[str]) -> Garbage:
    keys = keys_of(FileId(row.file_id), row.object_key, row.fence)
    return Garbage(
        FileId(row.file_id),
        row.store_upload if row.state == FileState.UPLOADING else None,
        [key for key in keys if key not in named],
    )
