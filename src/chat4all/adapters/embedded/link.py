"""The link between the two processes of one machine, over a socket pair.

Down, from the gateway's process: doorbells for new records, and requests for metrics.
Up, from the router's: announcements, its status, and its metrics.
When the socket closes, the other process has ended: then this one stops too.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import IntEnum

import msgspec

from chat4all.concurrency.periodic import periodically
from chat4all.domain.errors import Unavailable
from chat4all.domain.events import LiveEvent, by_key
from chat4all.wire.events import decode_events, encode_event, join_events

HEARTBEAT_SECONDS = 1.0
"""How often the router sends its status, also when idle."""

SILENCE_SECONDS = 5.0
"""A router that sends nothing for so long is considered hung."""

RING_SECONDS = 0.002
"""At most one doorbell in this time."""

FRAME_MAX = 64 * 1024 * 1024
_LENGTH = 4


class Kind(IntEnum):
    """What a frame is."""

    APPENDED = 1
    METRICS = 2
    EVENTS = 3
    STATUS = 4


class Status(msgspec.Struct):
    """The router's status: the log's offset up to which all is stored, and its trouble, if any."""

    committed: int
    trouble: str | None


class Announced(msgspec.Struct, array_like=True):
    """A batch of live events by their keys; a listener decodes only those that it needs."""

    events: list[tuple[str, bytes]]

    @classmethod
    def of(cls, events: Sequence[LiveEvent]) -> "Announced":
        """Encode a batch; those of a key stay in order."""
        return cls(
            [
                (key, join_events(map(encode_event, of_key)))
                for key, of_key in by_key(events).items()
            ]
        )

    @staticmethod
    def decode(encoded: bytes) -> list[LiveEvent]:
        """Return the events of one key."""
        return decode_events(encoded)


_log = logging.getLogger(__name__)
_encoder = msgspec.msgpack.Encoder()
_announced = msgspec.msgpack.Decoder(Announced)
_status = msgspec.msgpack.Decoder(Status)


class _Frames:
    """Frames over one end of the pair: four bytes of length, one of kind, and the content."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, pair: socket.socket) -> "_Frames":
        return cls(*await asyncio.open_connection(sock=pair))

    def send(self, kind: Kind, body: bytes = b"") -> None:
        if not self._writer.is_closing():
            length = (len(body) + 1).to_bytes(_LENGTH, "big")
            self._writer.write(b"".join((length, bytes((kind,)), body)))

    @property
    def waiting(self) -> bool:
        """Whether sent bytes are still buffered, before the socket."""
        return self._writer.transport.get_write_buffer_size() > 0

    async def drain(self) -> None:
        await self._writer.drain()

    async def each(self, handle: Mapping[int, Callable[[bytes], object]]) -> None:
        """Hand every frame to what handles its kind, until the other end is closed.

        A frame of a kind that nothing handles is logged and ignored.
        """
        while True:
            try:
                length = int.from_bytes(await self._reader.readexactly(_LENGTH), "big")
                if not 0 < length <= FRAME_MAX:
                    return
                frame = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            kind = frame[0]
            if (take := handle.get(kind)) is None:
                # Both ends are of one release: a defect, but no reason to stop routing.
                _log.error("a frame of an unknown kind is ignored", extra={"kind": kind})
                continue
            try:
                take(frame[1:])
            except Exception:
                # As above: one frame is lost, and the processes go on.
                _log.exception("a frame is not handled", extra={"kind": kind})

    def close(self) -> None:
        self._writer.close()


class RouterLink:
    """The gateway's end."""

    def __init__(
        self,
        frames: _Frames,
        announce: Callable[[Announced], None],
        heard: Callable[[], None],
    ) -> None:
        self._frames = frames
        self._announce = announce
        self._on_heard = heard
        self._heard = time.monotonic()
        self._status = Status(0, None)
        self._pending_metrics: asyncio.Future[bytes] | None = None
        self._quiet_until = 0.0
        self._ringing: asyncio.TimerHandle | None = None

    @classmethod
    async def over(
        cls,
        pair: socket.socket,
        announce: Callable[[Announced], None],
        heard: Callable[[], None],
    ) -> "RouterLink":
        """Take the gateway's end of the pair.

        `announce` gets each batch of live events; `heard` is called for each status of the router,
        which comes every second.
        """
        return cls(await _Frames.over(pair), announce, heard)

    async def run(self) -> None:
        """Handle the router's frames until its process has ended."""
        await self._frames.each(
            {
                Kind.EVENTS: lambda body: self._announce(_announced.decode(body)),
                Kind.STATUS: self._take_status,
                Kind.METRICS: self._take_metrics,
            }
        )
        self._status = Status(self._status.committed, "the router's process has ended")

    def ring(self) -> None:
        """Signal new records: at once, or together with those of the next moment."""
        if self._ringing is not None:
            return
        loop = asyncio.get_running_loop()
        if (now := loop.time()) >= self._quiet_until:
            self._quiet_until = now + RING_SECONDS
            if not self._frames.waiting:
                self._frames.send(Kind.APPENDED)
        else:
            self._ringing = loop.call_at(self._quiet_until, self._ring_again)

    async def ping(self) -> None:
        """Return while messages are routed; raise `Unavailable` with the cause while not."""
        if self._status.trouble is not None:
            raise Unavailable(self._status.trouble)
        if not self.is_heard():
            raise Unavailable("the router's process does not answer")

    def is_heard(self) -> bool:
        """Say whether the router's process was heard lately."""
        return time.monotonic() < self._heard + SILENCE_SECONDS

    async def metrics(self) -> bytes:
        """Return the router's metrics as text; the caller bounds the wait."""
        if self._pending_metrics is None or self._pending_metrics.done():
            self._pending_metrics = asyncio.get_running_loop().create_future()
            self._frames.send(Kind.METRICS)
        return await asyncio.shield(self._pending_metrics)

    @property
    def committed(self) -> int:
        """The offset of the log up to which the router was known to have stored everything."""
        return self._status.committed

    def close(self) -> None:
        """Close this end, which stops the router's process."""
        if self._ringing is not None:
            self._ringing.cancel()
        self._frames.close()

    def _ring_again(self) -> None:
        self._ringing = None
        self.ring()

    def _take_status(self, body: bytes) -> None:
        self._heard = time.monotonic()
        self._status = _status.decode(body)
        self._on_heard()

    def _take_metrics(self, body: bytes) -> None:
        if self._pending_metrics is not None and not self._pending_metrics.done():
            self._pending_metrics.set_result(body)


class GatewayLink:
    """The router's end; the router announces through it."""

    def __init__(self, frames: _Frames) -> None:
        self._frames = frames

    @classmethod
    async def over(cls, pair: socket.socket) -> "GatewayLink":
        """Take the router's end of the pair."""
        return cls(await _Frames.over(pair))

    async def run(
        self, appended: Callable[[], None], metrics: Callable[[], Awaitable[bytes]]
    ) -> None:
        """Handle the gateway's frames until its process has ended."""

        async def tell_metrics() -> None:
            text = b""
            try:
                text = await metrics()
            except Exception:
                _log.exception("the router's metrics cannot be told")
            self._frames.send(Kind.METRICS, text)

        async with asyncio.TaskGroup() as tasks:
            await self._frames.each(
                {
                    Kind.APPENDED: lambda _: appended(),
                    # The gateway sends one request at a time.
                    Kind.METRICS: lambda _: tasks.create_task(tell_metrics()),
                }
            )

    def beating(self, status: Callable[[], Awaitable[Status]]) -> AbstractAsyncContextManager[None]:
        """Send the router's status periodically, while in this context."""

        async def beat() -> None:
            self._frames.send(Kind.STATUS, _encoder.encode(await status()))

        return periodically("the router's heartbeat", beat, HEARTBEAT_SECONDS)

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """Hand the events to the gateway's process; see `ports.feed.Announcements`."""
        if not events:
            return
        self._frames.send(Kind.EVENTS, _encoder.encode(Announced.of(events)))
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._frames.drain()
        except (TimeoutError, ConnectionError):
            raise Unavailable("the gateway's process does not take announcements") from None

    def close(self) -> None:
        """Close this end."""
        self._frames.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected ends: the gateway's and the router's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
