"""Frames that a server sends, ready to be written."""

from math import ceil

import msgspec

_FINAL_TEXT = 0x81
_TWO_BYTES, _EIGHT_BYTES = 126, 127
"""What stands in place of a length that takes as many bytes more (RFC 6455, section 5.2)."""


def text_frame(payload: bytes) -> bytes:
    """Return one unmasked, final text frame; the same bytes are written to every socket."""
    size = len(payload)
    if size < _TWO_BYTES:
        return bytes((_FINAL_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_FINAL_TEXT, _TWO_BYTES)) + size.to_bytes(2, "big") + payload
    return bytes((_FINAL_TEXT, _EIGHT_BYTES)) + size.to_bytes(8, "big") + payload


def error_frame(status: int, title: str, detail: str, retry_after: float) -> bytes:
    """Return the frame before a close that says when to connect again, in seconds."""
    error = {
        "type": "error",
        "status": status,
        "title": title,
        "detail": detail,
        "retry_after": max(1, ceil(retry_after)),
    }
    return text_frame(msgspec.json.encode(error))
