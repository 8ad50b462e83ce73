"""What a client does with files."""

import asyncio
import mimetypes
import os
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid5

from chat4all.client.calling import Call, Caller
from chat4all.client.conversations import items
from chat4all.client.downloading import Downloading
from chat4all.client.errors import CONFLICT, InvalidInput, NotFound, Unavailable
from chat4all.client.keeping import UploadsFile
from chat4all.client.messages import MessageCalls
from chat4all.client.timing import CHECK_SECONDS, Pace
from chat4all.client.uploading import FILES_PATH, LocalFile, OnProgress, Uploading
from chat4all.client.views import FileLinkView, OwnFile

FILE_POINTER = "/payload/file_id"
SHOWN_KINDS = ("image", "audio", "video")


class FileCalls(MessageCalls):
    """Sending files, and getting them. `path` is one of this machine."""

    _caller: Caller
    _pace: Pace

    async def send_file(
        self,
        conversation: str,
        path: str | os.PathLike[str],
        content: str | None = None,
        *,
        kind: str | None = None,
        name: str | None = None,
        alt: str | None = None,
        reply_to: str | None = None,
        mentions: Iterable[str] = (),
        message_id: str | None = None,
        mark_read: bool = True,
        uploads: UploadsFile | None = None,
        on_progress: OnProgress | None = None,
    ) -> str:
        """Upload a file and send it, with a text if you like; return the `message_id`.

        It resumes after a break from the server's offset. With `uploads` a later run of your
        program does too, and the message is sent once: its id is derived from the upload's.
        `kind` is `image`, `audio`, `video` or `file`, by default as the extension says. `alt`
        describes it for those who cannot see or hear it. `on_progress` is called with the bytes
        that are done, and with the size.

        Raises `OSError` for a file that cannot be read, `ValueError` where it changes meanwhile,
        and what `send` raises.
        """
        local, transfer = LocalFile.at(path), Uploading(self._caller, self._pace)
        called = name or Path(path).name
        file_id = await transfer.upload(local, called, uploads, on_progress or _nothing)
        payload = {"file_id": file_id} | {
            key: value for key, value in (("name", name), ("alt", alt)) if value
        }
        kind_sent = kind or _kind_of(Path(path))
        message_id = message_id or str(uuid5(UUID(file_id), conversation))

        async def send(as_kind: str) -> str:
            until = time.monotonic() + CHECK_SECONDS
            while True:
                try:
                    return await self.send(
                        conversation,
                        content,
                        reply_to=reply_to,
                        mentions=mentions,
                        kind=as_kind,
                        payload=payload,
                        message_id=message_id,
                        mark_read=mark_read,
                    )
                except Unavailable as error:
                    if error.status != CONFLICT or time.monotonic() > until:
                        raise
                    await asyncio.sleep(self._pace.of(error.retry_after or 0.0))

        try:
            sent = await send(kind_sent)
        except InvalidInput as error:
            # The extension says one kind and the content is of another: then it is just a file.
            is_of_kind = any(rule.pointer == FILE_POINTER for rule in error.errors)
            if kind is not None or kind_sent == "file" or not is_of_kind:
                raise
            sent = await send("file")
        await transfer.forget(local, uploads)
        return sent

    async def upload(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        uploads: UploadsFile | None = None,
        on_progress: OnProgress | None = None,
    ) -> str:
        """Upload a file; return its `file_id`. It is yours alone until a message names it."""
        local, transfer = LocalFile.at(path), Uploading(self._caller, self._pace)
        called = name or Path(path).name
        file_id = await transfer.upload(local, called, uploads, on_progress or _nothing)
        await transfer.forget(local, uploads)
        return file_id

    async def download(
        self,
        file_id: str,
        path: str | os.PathLike[str],
        *,
        replaces: bool = True,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Write a file to `path`, once the download is complete and checked.

        It resumes after a break; in a later run too, from what it keeps beside `path`. What is at
        `path` is replaced, or else it raises `FileExistsError`.
        """
        transfer = Downloading(self._caller, self._pace)
        key = str(UUID(file_id))
        await transfer.download(key, Path(path), on_progress or _nothing, replaces=replaces)

    async def file_link(self, file_id: str) -> FileLinkView:
        """Return an address of a file, for some minutes, for what cannot send a token."""
        path = f"{FILES_PATH}/{quote(file_id, safe='')}/link"
        view = await self._caller.ask(Call("POST", path), FileLinkView)
        return FileLinkView(self._caller.url + view.url, view.expires_at)

    def files(self, *, order: str = "newest", limit: int = 50) -> AsyncIterator[OwnFile]:
        """Yield your own files and unfinished uploads, the `newest` or the `largest` first.

        `limit` are fetched at a time.
        """
        return items(self._caller, FILES_PATH, OwnFile, order=order, limit=limit)

    async def delete_file(self, file_id: str) -> None:
        """Delete a file that no message names, or an upload; `Conflict` if one names it."""
        path = f"{FILES_PATH}/{quote(file_id, safe='')}"
        headers = {"Tus-Resumable": "1.0.0"}
        await self._caller.tell(Call("DELETE", path, headers=headers, done_when=(NotFound,)))


def _kind_of(path: Path) -> str:
    """Return the kind that the extension of a file's name says."""
    media_type, _ = mimetypes.guess_type(path.name)
    kind = (media_type or "").partition("/")[0]
    return kind if kind in SHOWN_KINDS else "file"


def _nothing(_done: int, _size: int) -> None:
    """Report to nobody."""
