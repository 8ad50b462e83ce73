"""Frames that a server sends, ready to be written."""

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
