"""Rows of files and of the messages that name them, in the current transaction.

A row is gone once `expires_at` is past, and for good once `given_until` is set. `expires_at` is
None exactly while a message names the file, and `AT_ONCE` where it does not wait to be collected.
"""

import uuid
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, and_, bindparam, delete, exists, or_, select, update

from chat4all.adapters.sql.outbox import Now
from chat4all.adapters.sql.tables import file_uses, files
from chat4all.domain.errors import NotFound
from chat4all.domain.files import (
    UPLOAD_SECONDS,
    FileFacts,
    FileId,
    FileState,
    Progress,
    StoredFile,
    StoredPart,
    Upload,
)
from chat4all.domain.ids import ConversationId, Username

NO_SUCH_FILE = "no such file"

KEPT_MS = UPLOAD_SECONDS * 1000

AT_ONCE = 0
"""Past by any clock: bytes must not stay until one that was ahead is there again."""

_IS_GARBAGE = files.c.given_until.is_not(None)
IS_THERE = and_(
    files.c.given_until.is_(None), or_(files.c.expires_at.is_(None), files.c.expires_at > Now())
)
IS_WHOLE = files.c.state != FileState.UPLOADING.value

FILE = select(files, Now().label("now")).where(files.c.file_id == bindparam("file"))
_FOR_UPDATE = FILE.where(IS_THERE).with_for_update()
_CHANGE = update(files).where(files.c.file_id == bindparam("changed"))
_IS_USED = select(exists().where(file_uses.c.file_id == bindparam("file")))

_of_conversation = file_uses.alias("of_conversation")
_elsewhere = file_uses.alias("elsewhere")
_KEEP_A_WHILE = (
    update(files)
    .where(
        files.c.file_id.in_(
            select(_of_conversation.c.file_id).where(
                _of_conversation.c.conversation_id == bindparam("conversation"),
                ~exists().where(
                    _elsewhere.c.file_id == _of_conversation.c.file_id,
                    _elsewhere.c.conversation_id != bindparam("conversation"),
                ),
            )
        ),
    )
    .values(expires_at=Now() + bindparam("kept", type_=BigInteger))
)
_DROP_USES = delete(file_uses).where(file_uses.c.conversation_id == bindparam("conversation"))
_DROP_USES_OF_OWNER = delete(file_uses).where(
    file_uses.c.file_id.in_(select(files.c.file_id).where(files.c.owner == bindparam("erased")))
)
_DROP_OF_OWNER = (
    update(files)
    .where(files.c.owner == bindparam("erased"), ~_IS_GARBAGE)
    .values(expires_at=AT_ONCE, given_until=0)
)

_decoder = msgspec.json.Decoder(Progress)
_encoder = msgspec.json.Encoder()


def encode_progress(progress: Progress) -> str:
    """Return what the column `progress` has."""
    return _encoder.encode(progress).decode()


def lock_file(connection: Connection, file_id: FileId) -> Any:
    """Lock a file or upload and return its row, and `now`; raises `NotFound` if it is gone."""
    row = connection.execute(_FOR_UPDATE, {"file": file_id}).first()
    if row is None:
        raise NotFound(NO_SUCH_FILE)
    return row


def change_file(connection: Connection, file_id: FileId, **values: object) -> None:
    """Set columns of a file."""
    connection.execute(_CHANGE, {"changed": file_id, **values})


def is_used(connection: Connection, file_id: FileId) -> bool:
    """Say whether a message names a file."""
    return bool(connection.execute(_IS_USED, {"file": file_id}).scalar())


def replaced_id(file_id: FileId) -> FileId:
    """Return the id of the row of the object that a file had before it came to share one."""
    return FileId(str(uuid.uuid5(uuid.UUID(file_id), "replaced")))


def give_up(connection: Connection, row: Any, holder: str | None = None) -> None:
    """Make a locked file garbage at once."""
    change_file(connection, row.file_id, expires_at=AT_ONCE, given_until=0, holder=holder)


def drop_uses_of(connection: Connection, conversation: ConversationId) -> None:
    """Note that a conversation is deleted; its files that no other one has expire a day later."""
    connection.execute(_KEEP_A_WHILE, {"conversation": conversation, "kept": KEPT_MS})
    connection.execute(_DROP_USES, {"conversation": conversation})


def drop_files_of(connection: Connection, owner: Username) -> None:
    """Make all files of an erased user garbage, wherever messages name them."""
    connection.execute(_DROP_USES_OF_OWNER, {"erased": owner})
    connection.execute(_DROP_OF_OWNER, {"erased": owner})


def upload_of(row: Any) -> Upload:
    """Return the upload that a row is, or the whole file that it has become."""
    progress = Progress((StoredPart(1, row.size, ""),))
    if row.state == FileState.UPLOADING:
        progress = _decoder.decode(row.progress)
    return Upload(
        FileId(row.file_id),
        Username(row.owner),
        row.size,
        row.name,
        row.declared_type,
        row.object_key,
        row.store_upload,
        row.upload_metadata,
        row.is_direct,
        FileState(row.state),
        progress,
        row.fence,
        row.expires_at or 0,
    )


def file_of(row: Any) -> StoredFile:
    """Return the whole file that a row is."""
    return StoredFile(
        FileId(row.file_id),
        Username(row.owner),
        row.size,
        row.name,
        row.object_key,
        FileFacts(row.sha256, row.media_type, row.width, row.height, row.blurhash),
        row.created_at,
        FileState(row.state),
    )
