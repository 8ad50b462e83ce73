"""Close codes, and the error that ends a socket with one."""

from enum import IntEnum


class CloseCode(IntEnum):
    """Why a socket is closed (RFC 6455, section 7.4); those above 4000 are ours."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NO_CODE = 1005
    """The client closed without giving one. Never sent."""
    LOST = 1006
    """The connection ended without a close frame. Never sent."""
    NOT_UTF8 = 1007
    TOO_BIG = 1009
    FAILED = 1011
    RESTARTING = 1012
    TRY_LATER = 1013
    """Too many sockets, or too many that resume at once."""
    NOT_UNDERSTOOD = 4400
    NOT_SIGNED_IN = 4401
    TOO_SLOW = 4408
    TOO_MANY_FRAMES = 4429


class SocketClosed(Exception):
    """The client sent something that ends its socket, with this code and reason."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
