"""The port `ports.pictures.Pictures`: a process for each picture; see `child`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import msgspec

from chat4all.adapters.pictures.child import ENDING, PICTURE_MAX
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import Unavailable, UnreadablePicture
from chat4all.domain.files import PictureFacts

AT_ONCE = 2
WAITING_MAX = 64
"""Thumbnails that are being made, or wait for their turn."""

LOOKS_MAX = 1_000
"""The same for pictures to be looked at: one that is turned away may never have a thumbnail."""

SECONDS = 30.0
"""For one picture, with its wait for a turn."""

ANSWER_MAX = 8 * 1024 * 1024

_CHILD = str(Path(__file__).with_name("child.py"))

PUBLIC = "pictures cannot be looked at"

_DEFECT = 1
"""The exit status of an interpreter that ends by an exception."""

_facts = msgspec.json.Decoder(PictureFacts)


class LimitedPictures:
    """Looks at pictures, a few at a time."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        # No more of either kind come to the processes than these are, so that a picture to be
        # looked at has the next free one, however many thumbnails wait.
        self._looks = BoundedWaiting(
            LOOKS_MAX, seconds, "pictures wait to be looked at", slots=AT_ONCE
        )
        self._thumbnails = BoundedWaiting(
            WAITING_MAX, seconds, "thumbnails wait to be made", slots=AT_ONCE
        )
        self._processes = asyncio.Semaphore(AT_ONCE)

    async def look(self, content: AsyncIterator[bytes]) -> PictureFacts:
        """Return what is known of a picture; see `ports.pictures`."""
        try:
            return _facts.decode(await self._run(self._looks, content, "look"))
        except msgspec.DecodeError as error:
            raise UnreadablePicture("this picture cannot be read") from error

    async def thumbnail(self, content: AsyncIterator[bytes], size: int) -> bytes:
        """Return a small picture; see `ports.pictures`."""
        return await self._run(self._thumbnails, content, "thumbnail", str(size))

    async def _run(
        self, waiting: BoundedWaiting, content: AsyncIterator[bytes], *arguments: str
    ) -> bytes:
        try:
            async with waiting.turn() as seconds, asyncio.timeout(seconds), self._processes:
                return await _ask(content, arguments)
        except TimeoutError as error:
            raise Unavailable("a picture was not looked at in time") from error
        except OSError as error:
            raise Unavailable(f"pictures cannot be looked at: {error}", PUBLIC) from error


async def _ask(content: AsyncIterator[bytes], arguments: tuple[str, ...]) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",  # neither the current folder nor PYTHON* has a say in what is loaded
        _CHILD,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Without the secrets that ours may have; one thread, so that memory stays bounded.
        env={"VIPS_CONCURRENCY": "1", "PATH": os.defpath},
    )
    try:
        return await _answer(process, content)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def _answer(process: Any, content: AsyncIterator[bytes]) -> bytes:
    try:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read(process.stdout))
            failing = group.create_task(_read(process.stderr))
            group.create_task(_feed(process.stdin, content))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    answer = reading.result()
    status = await process.wait()
    if status == _DEFECT:
        last = failing.result().decode(errors="replace").strip().rpartition("\n")[2]
        raise Unavailable(f"pictures cannot be looked at: {last}", PUBLIC)
    if -status in ENDING:  # before it ignored them: nothing is known of the picture
        raise Unavailable("a picture was not looked at: its process was told to end", PUBLIC)
    if status != 0 or len(answer) > ANSWER_MAX:
        raise UnreadablePicture("this picture cannot be read")
    return answer


async def _read(stdout: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while len(answer) <= ANSWER_MAX and (more := await stdout.read(ANSWER_MAX)):
        answer += more
    return bytes(answer)


async def _feed(stdin: asyncio.StreamWriter, content: AsyncIterator[bytes]) -> None:
    """Write the picture to the process, which may end before it has read all of it."""
    given = 0
    # The stream has to be closed, also when it is not read to its end.
    async with aclosing(content) as chunks:  # type: ignore[type-var]
        with suppress(BrokenPipeError, ConnectionResetError):
            async for chunk in chunks:
                given += len(chunk)
                stdin.write(chunk)
                await stdin.drain()
                if given > PICTURE_MAX:
                    break
    stdin.close()
