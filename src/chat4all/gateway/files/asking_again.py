"""Whether a viewer may still have a file, while a long download of it goes on."""

import asyncio
import time

from chat4all.concurrency.room import Share
from chat4all.domain.errors import Unavailable
from chat4all.domain.files import FileId
from chat4all.domain.ids import Username
from chat4all.usecases.downloading import Downloading

ASK_EVERY_SECONDS = 2.0
"""What was answered counts for so long: a removed member, and one who was disabled, is refused
within 5 s, the time to ask included. A shorter download asks only once, before its first byte."""

RETRY_SECONDS = 1.0
HOLD_SECONDS = 30.0
"""How long a download waits for an answer."""


class Permission:
    """A viewer's right to a file, which `Downloading.find` has just granted.

    A link's and a token's own time is for the beginning of a download, however long it takes.
    """

    def __init__(self, downloading: Downloading, file_id: FileId, viewer: Username) -> None:
        self._downloading = downloading
        self.file_id = file_id
        self.viewer = viewer
        self._asked = time.monotonic()

    async def check(self) -> None:
        """Ask again if it is time to. Raises what `Downloading.find` does."""
        now = time.monotonic()
        if now - self._asked >= ASK_EVERY_SECONDS:
            await self._downloading.find(self.file_id, self.viewer)
            self._asked = now

    async def wait(self, share: Share[Username], gone: "asyncio.Task[None]") -> None:
        """Do the same in the middle of a download, and wait while there is no answer.

        As with live sockets: what is not certain is not sent, and an outage ends no connection. But
        a download holds a place that others may want, so it is given up after `HOLD_SECONDS`, and
        its client goes on from there with `Range`. Raises `Unavailable` then. Returns when the
        client is gone, too.
        """
        began = time.monotonic()
        while not gone.done():
            asked = time.monotonic()
            try:
                await self.check()
            except Unavailable:
                if time.monotonic() - began >= HOLD_SECONDS:
                    raise
                await asyncio.wait({gone}, timeout=RETRY_SECONDS)
            else:
                return
            finally:
                share.excuse(time.monotonic() - asked)
