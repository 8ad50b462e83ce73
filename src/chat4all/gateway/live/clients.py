"""What is behind a socket: one object, which gets what its client sends."""

from dataclasses import dataclass, field
from typing import Protocol

from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a client signed in when it connected, and from where."""

    token: str | None = field(repr=False)
    """From `Authorization` or from the subprotocol `bearer.<token>`; None when the first frame must
    be `auth`."""
    client: str
    """Its address, see `http.limits.client_of`."""
    scope: Scope
    """Method, path and client of the request, without its headers. Whoever finds out who it is puts
    a `Session` under `http.access_log.CALLER`, for the access log."""


class SocketClient(Protocol):
    """What the messages of one socket go to. Nothing here may block the event loop."""

    def received(self, frame: bytes) -> None:
        """Take a whole text message: UTF-8, at most 64 KiB."""
        ...

    def closed(self) -> None:
        """Let go of the socket: the connection is gone. Called exactly once."""
        ...


class Nobody:
    """The client of a socket that is refused."""

    def received(self, frame: bytes) -> None:
        """Drop it."""

    def closed(self) -> None:
        """Do nothing."""
