"""Standard output of a user's commands, for one task: text in a terminal, JSON lines in a pipe.

Nothing here waits outside the event loop: a reader that has stopped holds up its own lines only,
and Ctrl-C ends the command meanwhile.
"""

import asyncio
import fcntl
import os
import select
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

SETTLE_SECONDS = 1.0
"""For the rest of a line when the command is ended in its middle."""

_encoder = msgspec.json.Encoder()


class Output:
    """Where lines go; text for people or JSON, as told, else as the output is."""

    def __init__(self, *, as_json: bool | None = None) -> None:
        self.is_text = sys.stdout.isatty() if as_json is None else not as_json
        """Whether people read it."""
        self._descriptor = sys.stdout.fileno()

    async def put(self, text: str) -> None:
        """Write a text. Raises `BrokenPipeError` when the reader has gone.

        It is written to its end when the task is cancelled in its middle, and the task then goes on
        to where it waits next: a reader gets whole lines, unless it takes no more for a second.
        """
        rest = memoryview(text.encode(errors="backslashreplace"))
        if rest:
            await self._until_writable()
            rest = self._written(rest)
        if not rest:
            return
        writing = asyncio.create_task(self._write(rest), name="chat4all-output")
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            done, _ = await asyncio.wait([writing], timeout=SETTLE_SECONDS)
            if not done:
                writing.cancel()
                raise
            writing.result()
            _cancel_later()

    async def _write(self, rest: memoryview) -> None:
        while rest:
            await self._until_writable()
            rest = self._written(rest)

    def _written(self, rest: memoryview) -> memoryview:
        """Write as much as a pipe that is writable takes without waiting; return what is left."""
        return rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]

    async def put_json(self, value: Any) -> None:
        """Write a value as one line of JSON."""
        await self.put(_encoder.encode(value).decode() + "\n")

    async def tell(self, text: str, value: Any) -> None:
        """Write a line for people, or in its place a value as one line of JSON."""
        if self.is_text:
            await self.put(f"{text}\n")
        else:
            await self.put_json(value)

    @asynccontextmanager
    async def while_read(self) -> AsyncIterator[None]:
        """End what is done inside with `BrokenPipeError` when the reader of a pipe has gone.

        Without it that is noticed when there is something to write, which may be never.
        """
        if not self._is_end_of_pipe():
            yield
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as scope:

                def end() -> None:
                    loop.remove_reader(self._descriptor)
                    scope.reschedule(loop.time())

                # An end that is for writing only is "readable" once nobody can read.
                loop.add_reader(self._descriptor, end)
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            raise BrokenPipeError from None
        finally:
            loop.remove_reader(self._descriptor)

    def _is_end_of_pipe(self) -> bool:
        access = fcntl.fcntl(self._descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        return stat.S_ISFIFO(os.fstat(self._descriptor).st_mode) and access == os.O_WRONLY

    async def _until_writable(self) -> None:
        if select.select([], [self._descriptor], [], 0)[1]:
            return
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_writer(self._descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._descriptor)


def _cancel_later() -> None:
    """Put off the cancellation that was caught to where this task waits next."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
        task.cancel()
