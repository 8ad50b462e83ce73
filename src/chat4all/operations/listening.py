"""What happens in a user's conversations, frame by frame, over sockets that follow one another.

The behaviour is that of docs/clients.md, for a first look at the live interface.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import Close

from chat4all import __version__
from chat4all.concurrency.retrying import Backoff
from chat4all.concurrency.slices import slices
from chat4all.domain.errors import CommandRefused
from chat4all.operations.signing_in import Account, NoAnswer, seconds_of

Frame = dict[str, Any]

BACKOFF = Backoff(1.0, 30.0, jitter=1.0)

SILENCE_SECONDS = 35.0
"""After which a connection is taken for dead: a heartbeat comes every 25 s."""

FRAME_MAX = 16 * 1024 * 1024
"""Bytes of one frame of the server: `resumed` has an entry for each conversation."""

CLOSE_SECONDS = 1.0

POSITIONS_MAX = 500
"""Of one frame, which may have 64 KiB."""

DEFECTS: Final = (1002, 1007, 1009, 4400)
"""Close codes that would come again."""

NOT_SIGNED_IN: Final = 4401


class Listener:
    """Follows an account's conversations. `tell` is told why a connection ended."""

    def __init__(self, url: str, account: Account, tell: Callable[[str], None]) -> None:
        self._url = "ws" + url.removeprefix("http") + "/v1/live"
        self._account = account
        self._tell = tell
        self._positions: dict[str, str] = {}
        self._generation: str | None = None
        """Of the positions."""
        self._generation_now: str | None = None
        self._has_begun = False
        self._delays = BACKOFF.delays()
        self._retry_after = 0.0

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield every frame, for ever. A frame counts as received once the next one is asked for.

        Raises `CommandRefused` where trying again is of no use, or where it did not even begin.
        """
        while True:
            try:
                await self._renew_when_due()
                async with self._connect() as socket:
                    has_asked = False
                    while True:
                        frame = await self._next(socket)
                        yield frame
                        self._keep(frame)
                        if not has_asked:
                            has_asked = True
                            await self._resume(socket)
            except (OSError, NoAnswer, InvalidHandshake, ConnectionClosed) as error:
                why = self._why(error)
            if not self._has_begun:
                raise CommandRefused(why)
            delay = self._retry_after + next(self._delays)
            self._retry_after = 0.0
            self._tell(f"{why}; connecting again in {delay:.1f} s")
            await asyncio.sleep(delay)

    def _connect(self) -> connect:
        return connect(
            self._url,
            additional_headers={"Authorization": f"Bearer {self._account.token}"},
            user_agent_header=f"chat4all/{__version__}",
            compression=None,
            max_size=FRAME_MAX,
            ping_interval=None,  # heartbeats say as much
            close_timeout=CLOSE_SECONDS,
        )

    async def _next(self, socket: ClientConnection) -> Frame:
        """Return the next frame; meanwhile the token is renewed."""
        silent_at = time.monotonic() + SILENCE_SECONDS
        while True:
            until = min(silent_at, self._account.renew_at)
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    frame: Frame = json.loads(await socket.recv())
                    return frame
            except TimeoutError:
                if time.monotonic() >= silent_at:
                    raise NoAnswer(f"nothing was heard for {SILENCE_SECONDS:.0f} s") from None
            await self._renew_when_due()
            await _say(socket, type="auth", token=self._account.token)

    async def _resume(self, socket: ClientConnection) -> None:
        has = list(self._positions.items())
        pieces = [*slices(has, POSITIONS_MAX)] or [[]]
        for number, piece in enumerate(pieces, 1):
            await _say(
                socket,
                type="resume",
                positions=dict(piece),
                generation=self._generation,
                more=number < len(pieces),
            )

    def _keep(self, frame: Frame) -> None:
        """Keep what a resume and the next try need of a frame."""
        self._has_begun = True
        match frame:
            case {"type": "hello"}:
                self._generation_now = frame.get("generation")
                if not self._positions:
                    self._generation = self._generation_now
            case {"type": "resumed"}:
                self._generation = self._generation_now
                self._delays = BACKOFF.delays()
            case {"type": "error", "retry_after": seconds}:
                self._retry_after = seconds
            case {"type": "conversation", "event": "removed"}:
                self._positions.pop(frame["conversation_id"], None)
        if position := frame.get("position"):
            self._positions[conversation_of(frame)] = position

    async def _renew_when_due(self) -> None:
        if time.monotonic() >= self._account.renew_at:
            await asyncio.to_thread(self._account.renew)

    def _why(self, error: Exception) -> str:
        """Return why there is no connection; `CommandRefused` if it will not be better next time.

        Also does what has to be done before the next try.
        """
        match error:
            case ConnectionClosed(rcvd=Close(code=code, reason=reason)):
                said = f"the connection was closed with {code} {reason}".strip()
                if code in DEFECTS:
                    raise CommandRefused(said)
                if code == NOT_SIGNED_IN:
                    self._account.renew_at = 0.0
                return said
            case ConnectionClosed():
                return "the connection was lost"
            case InvalidStatus(response=response):
                said = f"{self._url} is answered with {response.status_code}"
                if response.status_code != 429 and response.status_code < 500:
                    raise CommandRefused(said)
                self._retry_after = seconds_of(response.headers.get("Retry-After"))
                return said
            case NoAnswer(retry_after=seconds):
                self._retry_after = seconds
                return str(error)
        return f"{self._url} does not answer: {error}"


def conversation_of(frame: Frame) -> str:
    """Return which conversation a frame is about, or ""."""
    found = frame.get("conversation_id") or frame.get("message", {}).get("conversation_id")
    return str(found or "")


async def _say(socket: ClientConnection, **frame: Any) -> None:
    await socket.send(json.dumps(frame))
