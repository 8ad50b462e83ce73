"""Download a file: resumed after breaks and restarts, and checked."""

import asyncio
import errno
import hashlib
import os
import time
from pathlib import Path
from typing import Any, BinaryIO

from chat4all.client import timing
from chat4all.client.calling import Call, Caller
from chat4all.client.errors import CONFLICT, Defect, Refused, Unavailable, as_kind
from chat4all.client.keeping import lock_exclusively
from chat4all.client.timing import CHECK_SECONDS, Pace, Standstill, file_timeout
from chat4all.client.uploading import FILES_PATH, OnProgress

PIECE_BYTES = 256 * 1024

NOT_SATISFIABLE = 416


class Downloading:
    """Downloads files for a client."""

    def __init__(self, caller: Caller, pace: Pace) -> None:
        self._caller = caller
        self._pace = pace

    async def download(
        self,
        file_id: str,
        target: Path,
        on_progress: OnProgress,
        *,
        replaces: bool,
    ) -> None:
        """Write a file's bytes beside `target`, and put it there once it is whole and checked."""
        if not replaces and await asyncio.to_thread(os.path.lexists, target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        # The end of an id is random; its beginning is the time.
        part = target.with_name(f"{target.name}.{file_id[-12:]}.part")
        file = await asyncio.to_thread(part.open, "a+b")
        try:
            lock_exclusively(file, part)
            digest = await asyncio.to_thread(_digest, file)
            tag = await self._fill(file_id, file, digest, on_progress)
            if tag.strip('"') != digest.hexdigest():
                await asyncio.to_thread(file.truncate, 0)
                raise Defect("what was downloaded is not the file: its SHA-256 is another one")
            await asyncio.to_thread(_put, file, part, target, replaces)
        finally:
            await asyncio.to_thread(file.close)

    async def _fill(self, file_id: str, file: BinaryIO, digest: Any, progress: OnProgress) -> str:
        """Add what is missing, over breaks; return the entity tag."""
        standstill = Standstill(self._pace)
        while True:
            begun, began = file.tell(), time.monotonic()
            try:
                return await self._continue(file_id, file, digest, progress)
            except Unavailable as error:
                if file.tell() > begun:
                    standstill.end()
                else:
                    standstill.tried(began)
                asked = self._pace.of(error.retry_after or 0.0)
                most = CHECK_SECONDS if error.status == CONFLICT else self._caller.seconds
                if standstill.seconds() + asked > most:
                    raise as_kind(Unavailable, error) from None
                await asyncio.sleep(asked + next(standstill.delays))

    async def _continue(
        self, file_id: str, file: BinaryIO, digest: Any, progress: OnProgress
    ) -> str:
        offset = file.tell()
        # The bytes under an id never change, so no condition is needed.
        headers = {"Accept-Encoding": "identity"} | (
            {"Range": f"bytes={offset}-"} if offset else {}
        )
        path = f"{FILES_PATH}/{file_id}"
        call = Call("GET", path, headers=headers, timeout=file_timeout())
        try:
            async with self._caller.streamed(call) as answer:
                # It is out of the queue: what keeps still from now on does not come any more.
                answer.request.extensions["timeout"]["read"] = timing.TRY_SECONDS
                tag: str = answer.headers.get("ETag", "")
                if offset and answer.status_code != 206:
                    raise Defect("the server does not give a part of the file")
                length = answer.headers.get("Content-Length", "")
                if not length.isdecimal():
                    raise Defect("the server does not say how long the file is")
                size = offset + int(length)
                async for piece in answer.aiter_bytes():  # as they come: a break loses none
                    await asyncio.to_thread(_append, file, digest, piece)
                    progress(file.tell(), size)
                if file.tell() < size:
                    raise Unavailable("the download broke off")
                return tag
        except Refused as refused:
            if refused.status != NOT_SATISFIABLE or not offset:
                raise
        # All bytes are here: an earlier run ended before it had checked them.
        answer = await self._caller.response(Call("HEAD", f"{FILES_PATH}/{file_id}"))
        return str(answer.headers.get("ETag", ""))


def _put(file: BinaryIO, part: Path, target: Path, replaces: bool) -> None:
    file.flush()
    os.fsync(file.fileno())
    if replaces:
        part.replace(target)
    else:
        os.link(part, target)  # raises for what is there
        part.unlink()


def _append(file: BinaryIO, digest: Any, piece: bytes) -> None:
    file.write(piece)
    digest.update(piece)


def _digest(file: BinaryIO) -> Any:
    """Return the hash of what is there already, and go to its end."""
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return digest
