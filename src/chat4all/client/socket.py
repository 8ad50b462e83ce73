"""One connection for live events: opening it, reading it, and why it ended."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)

from chat4all.client.calling import Caller
from chat4all.client.errors import ClientError, Defect
from chat4all.client.frames import Frame, read_frame
from chat4all.client.timing import (
    CLOSE_SECONDS,
    HELLO_SECONDS,
    SILENCE_SECONDS,
    TRY_SECONDS,
    Pace,
    seconds_of,
)
from chat4all.client.tokens import Tokens
from chat4all.wire import client_frames
from chat4all.wire.frames import ErrorFrame, Hello

FRAME_MAX = 64 * 1024 * 1024
"""Bytes of one frame of the server: `resumed` has an entry for each conversation."""

FRAMES_WAITING = 64
"""Frames that wait while a history is read, or a queue is full; the server keeps 256 KiB more."""

LOST: Final = 1006
DEFECTS: Final = (1002, 1007, 1009, 4400)
"""Close codes that would come again."""
NOT_SIGNED_IN: Final = 4401

# At its most talkative the library logs each header and frame: tokens, and what people write.
_quiet = logging.getLogger(f"{__name__}.protocol")
_quiet.setLevel(logging.INFO)

_encoder = msgspec.json.Encoder()


class Lost(Exception):
    """There is no connection, or none any more; another one is to be tried.

    `retry_after` is how many seconds the server asks to wait, `refused` the token that it refuses.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        *,
        retry_after: float | None = None,
        refused: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.retry_after = retry_after
        self.refused = refused


class Socket:
    """An open connection. `hello` is what it began with."""

    def __init__(
        self, connection: ClientConnection, tokens: Tokens, pace: Pace, token: str
    ) -> None:
        self._connection = connection
        self._tokens = tokens
        self._pace = pace
        self._token = token
        self._silence = HELLO_SECONDS
        self._retry_after: float | None = None
        self._later: asyncio.Task[None] | None = None

    async def hello(self) -> Hello:
        """Return the frame that says who is signed in. An error may come in its place."""
        async with asyncio.timeout(HELLO_SECONDS):
            while not isinstance(frame := await self.next(), Hello):
                pass
        self._silence = self._pace.of(frame.heartbeat_s + SILENCE_SECONDS)
        return frame

    async def next(self) -> Frame:
        """Return the next frame that means something."""
        while True:
            frame = read_frame(await self._receive())
            # It says why the connection ends if it is the last one.
            self._retry_after = frame.retry_after if isinstance(frame, ErrorFrame) else None
            if frame is not None:
                return frame

    async def say(self, frame: client_frames.ClientFrame) -> None:
        """Send a frame."""
        async with asyncio.timeout(TRY_SECONDS):
            await self._connection.send(_encoder.encode(frame).decode())

    def do_later(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        """Do something in so many seconds, if it is still open; one thing at a time."""

        async def later() -> None:
            await asyncio.sleep(seconds)
            with suppress(ConnectionClosed, TimeoutError):
                await do()

        if self._later is None or self._later.done():
            self._later = asyncio.create_task(later(), name="chat4all-later")

    async def close(self) -> None:
        """Close it, and end what was to be done later."""
        if self._later is not None:
            self._later.cancel()
        try:
            await self._connection.close()
        except asyncio.CancelledError:  # it does not wait any more for the other side
            self._connection.transport.abort()
            raise
        if self._later is not None:
            await asyncio.gather(self._later, return_exceptions=True)

    def lost(self, error: ConnectionClosed) -> Lost:
        """Return why the connection ended. Raises `Defect` where another would end so too."""
        if error.rcvd is None:
            return Lost(LOST, "the connection was lost")
        code, reason = error.rcvd.code, error.rcvd.reason
        if code in DEFECTS:
            raise Defect(f"the server closed the connection with {code} {reason}", code=code)
        refused = self._token if code == NOT_SIGNED_IN else None
        return Lost(code, reason, retry_after=self._retry_after, refused=refused)

    async def keep_signed_in(self) -> None:
        """Renew the token whenever it is due. Ends where it cannot be: the server says so then."""
        with suppress(ClientError, ConnectionClosed, OSError):
            while (renew_at := self._tokens.renew_at) is not None:
                await asyncio.sleep(renew_at - time.monotonic())
                token = await self._tokens.renewed()
                if token != self._token:
                    self._token = token
                    await self.say(client_frames.Auth(token))

    async def _receive(self) -> str | bytes:
        try:
            async with asyncio.timeout(self._silence):
                return await self._connection.recv()
        except TimeoutError:
            raise Lost(LOST, "nothing was heard of the server") from None


class _Connecting(connect):
    """Follows no redirect: the token is for one server."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@asynccontextmanager
async def opened(
    caller: Caller, tokens: Tokens, pace: Pace, refused: str | None, *, is_known: bool
) -> AsyncIterator[Socket]:
    """Open a connection with a token other than `refused`, and close it at the end.

    Raises `Lost`, also for what happens while it is open, and `Defect`. `is_known` says that there
    was a connection before: it is the right address, whatever is answered now.
    """
    token = await tokens.get(refused)
    url = "ws" + caller.url.removeprefix("http") + "/v1/live"
    connecting = _Connecting(
        url,
        ssl=caller.ssl,
        additional_headers={"Authorization": f"Bearer {token}"},
        user_agent_header=caller.user_agent,
        logger=_quiet,
        compression=None,
        max_size=FRAME_MAX,
        max_queue=FRAMES_WAITING,
        ping_interval=None,  # heartbeats say as much
        open_timeout=TRY_SECONDS,
        close_timeout=CLOSE_SECONDS,
    )
    try:
        connection = await connecting
    except InvalidStatus as error:
        raise _refused(error, token, is_known=is_known) from None
    except InvalidURI as error:
        raise Defect(f"{caller.url} is no address of a server: {error}") from None
    except (OSError, InvalidHandshake, ConnectionClosed) as error:
        caller.check_certificate(error)
        raise Lost(LOST, f"{caller.url} does not answer: {error}") from None
    caller.was_reached = True
    socket = Socket(connection, tokens, pace, token)
    keeping = asyncio.create_task(socket.keep_signed_in(), name="chat4all-signed-in")
    try:
        yield socket
    except ConnectionClosed as error:
        raise socket.lost(error) from None
    except OSError as error:  # time-outs among them
        raise Lost(LOST, f"the server did not answer: {error or 'in time'}") from None
    finally:
        keeping.cancel()
        await socket.close()
        await asyncio.gather(keeping, return_exceptions=True)


def _refused(error: InvalidStatus, token: str, *, is_known: bool) -> Lost:
    status, headers = error.response.status_code, error.response.headers
    said = f"the server answers with {status}"
    if status == 401:
        return Lost(NOT_SIGNED_IN, said, refused=token)
    if status == 429 or status >= 500 or is_known:
        return Lost(LOST, said, retry_after=seconds_of(headers.get("Retry-After")))
    raise Defect(f"{said}: is it the address of Chat4All?")
