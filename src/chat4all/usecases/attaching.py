"""Messages that name files: who may send which, and what the server adds to the payload."""

from collections.abc import Mapping
from typing import Any

from chat4all.domain.errors import FieldError, InvalidInput, NotFound
from chat4all.domain.file_names import file_name
from chat4all.domain.files import FileLimits, FileUse, StoredFile, file_id, fits
from chat4all.domain.kinds import FILE_KINDS
from chat4all.domain.messages import StoredMessage
from chat4all.domain.records import MessageRecord
from chat4all.domain.scanning import check_ready
from chat4all.ports.file_uses import FileUses
from chat4all.ports.files import Files

FILE_ID = "/payload/file_id"


class Attaching:
    """Gives the members of a conversation the files that its messages name, and takes them back."""

    def __init__(self, files: Files, uses: FileUses, limits: FileLimits | None = None) -> None:
        self._files = files
        self._uses = uses
        self._limits = limits or FileLimits()

    async def attach(self, record: MessageRecord) -> MessageRecord:
        """Return a record with what is known of its file, which its readers may have from now on.

        Raises `InvalidInput` for a file that its sender may not have or that does not fit the kind,
        `BeingChecked` for one that is held back, and `Conflict` for one that was refused.
        """
        try:
            await self._check(record)
            file = await self._files.attach(_use(record))
        except NotFound:
            raise _none() from None
        return record._replace(payload=payload_of(file, record.payload or {}))

    async def check(self, record: MessageRecord) -> None:
        """Raise what `attach` does, and give nobody the file."""
        try:
            await self._check(record)
        except NotFound:
            raise _none() from None

    async def doubt(self, message: StoredMessage) -> None:
        """Note that a message is about to be deleted, in case nobody can `detach` its file."""
        if message.kind in FILE_KINDS:
            await self._uses.doubt(message.conversation_id, message.message_id, message.sender_id)

    async def detach(self, message: StoredMessage) -> None:
        """Take back the file of a message that is deleted; again does nothing."""
        if message.kind in FILE_KINDS:
            await self._files.detach(message.conversation_id, message.message_id, message.sender_id)

    async def _check(self, record: MessageRecord) -> None:
        # Before the file is attached: nobody gets it by a message that is refused.
        use, kind = _use(record), record.kind
        file = await self._files.find(use.file_id, use.sender_id)
        check_ready(file)
        if not fits(kind, file.facts.media_type):
            raise _invalid(f"this file cannot be sent as `{kind}`: it is {file.facts.media_type}")
        if file.size > (most := self._limits.most(file.facts.media_type)):
            # When it began, only its uploader had said what it is.
            raise _invalid(f"a file of this type has at most {most:,} bytes")


def payload_of(file: StoredFile, sent: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a message shows of its file; `sent` may give it a name and a description."""
    found = {
        "file_id": file.file_id,
        # A client may save it under this name.
        "name": file_name(sent["name"]) if sent.get("name") else file.name,
        "alt": sent.get("alt"),
        "size": file.size,
        "type": file.facts.media_type,
        "sha256": file.facts.sha256,
        "width": file.facts.width,
        "height": file.facts.height,
        "blurhash": file.facts.blurhash,
    }
    return {key: value for key, value in found.items() if value is not None}


def _use(record: MessageRecord) -> FileUse:
    named = (record.payload or {})["file_id"]
    return FileUse(file_id(named), record.conversation_id, record.message_id, record.sender_id)


def _none() -> InvalidInput:
    return _invalid("there is no such file, or you may not have it")


def _invalid(detail: str) -> InvalidInput:
    return InvalidInput([FieldError(FILE_ID, detail)])
