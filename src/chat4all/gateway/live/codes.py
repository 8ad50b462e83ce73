"""Close codes, and the error that ends a socket with one."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


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


MEANINGS: Mapping[CloseCode, str] = MappingProxyType(
    {
        CloseCode.NORMAL: "You closed it.",
        CloseCode.GOING_AWAY: "You closed it: the page was left.",
        CloseCode.PROTOCOL_ERROR: "No valid WebSocket frame. Do not connect again: it is a defect "
        "of the client.",
        CloseCode.NO_CODE: "You closed it without a code. Never sent.",
        CloseCode.LOST: "The connection was lost; a client that does not read sees this too. Never "
        "sent. Connect again, after a random delay that grows.",
        CloseCode.NOT_UTF8: "A message that is not UTF-8. Do not connect again: it is a defect of "
        "the client.",
        CloseCode.TOO_BIG: "A message of more than 64 KiB. Do not connect again: it is a defect of "
        "the client.",
        CloseCode.FAILED: "The server failed. Connect again, after a random delay that grows.",
        CloseCode.RESTARTING: "The server restarts, or its store was restored. Connect again, "
        "after a random delay, and resume.",
        CloseCode.TRY_LATER: "Too many sockets are open, or too many resume at once. Connect again "
        "after the `retry_after` of the `error` before it, in seconds.",
        CloseCode.NOT_UNDERSTOOD: "A frame that is not understood. Do not connect again: it is a "
        "defect of the client.",
        CloseCode.NOT_SIGNED_IN: "The token is missing, expired, revoked or not ours. Connect "
        "again with a new token.",
        CloseCode.TOO_SLOW: "More than 256 KiB waited for this socket, or nothing was taken, or a "
        "message did not arrive whole, for 30 s. Connect again, and resume.",
        CloseCode.TOO_MANY_FRAMES: "You sent too many frames. Connect again after the "
        "`retry_after` of the `error` before it, in seconds.",
    }
)
"""What each code means to a client, and whether it connects again."""


class SocketClosed(Exception):
    """The client sent something that ends its socket, with this code and reason."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
