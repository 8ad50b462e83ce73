"""A transport whose `close` lets the client read its answer before the connection is cut."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Listener(Protocol):
    """The protocol behind a transport, as far as closing needs it."""

    def is_refused(self) -> bool:
        """Say whether the client was refused and may not know it yet."""
        ...

    def is_arriving(self) -> bool:
        """Say whether a request has begun to arrive and is incomplete."""
        ...

    def stop_listening(self) -> None:
        """Ignore whatever still comes in."""
        ...


class LingeringTransport:
    """A transport whose `close` lets the client read its answer before the connection is cut."""

    __slots__ = (
        "_protocol",
        "_transport",
        "abort",
        "get_extra_info",
        "get_write_buffer_size",
        "is_lingering",
        "pause_reading",
        "resume_reading",
        "write",
    )

    def __init__(self, transport: asyncio.Transport, protocol: Listener) -> None:
        self._transport = transport
        self._protocol: Listener | None = protocol
        self.is_lingering = False
        self.write: Callable[[bytes], None] = transport.write
        self.abort = transport.abort
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.get_extra_info = transport.get_extra_info
        self.get_write_buffer_size = transport.get_write_buffer_size

    def is_closing(self) -> bool:
        """Say whether nothing more will be sent."""
        return self.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close; while the client is still sending, our side first."""
        if self._protocol is None or self.is_closing():
            return
        if not (self._protocol.is_refused() or self._protocol.is_arriving()):
            self._transport.close()
            return
        self.is_lingering = True
        self._protocol.stop_listening()
        self._transport.write_eof()

    def part(self) -> asyncio.Transport:
        """Drop the protocol, once the connection is lost or handed over."""
        self._protocol = None
        return self._transport

    def end(self) -> None:
        """Close without waiting for what the client still sends."""
        self._transport.close()
