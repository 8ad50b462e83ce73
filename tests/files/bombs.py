"""Pictures of a few kilobytes that are large when they are decoded, made by hand."""

import struct
from collections.abc import Iterator

import pyvips

_CLEAR, _END, _FIRST = 4, 5, 6
"""Codes of a GIF with four colours; those from 6 on stand for pixels."""

_CODES_MAX = 4_095


def _codes(pixels: int) -> Iterator[tuple[int, int]]:
    """Yield codes and their widths in bits for so many pixels of colour 0.

    Each code stands for a pixel more than the one before.
    """
    width = 3
    while pixels > 0:
        yield _CLEAR, width
        width, code, length = 3, 0, 1
        while pixels > 0 and code < _CODES_MAX:
            yield code, width
            pixels -= length
            code, length = max(code + 1, _FIRST), length + 1
            if code == 1 << width and width < 12:
                width += 1
    yield _END, width


def _packed(pixels: int) -> bytes:
    packed, bits, filled = bytearray(), 0, 0
    for code, width in _codes(pixels):
        bits |= code << filled
        filled += width
        while filled >= 8:
            packed.append(bits & 255)
            bits, filled = bits >> 8, filled - 8
    packed.append(bits & 255)
    blocks = (packed[at : at + 255] for at in range(0, len(packed), 255))
    return b"\2" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def gif(width: int, height: int, *, frames: int = 1) -> bytes:
    """Return a GIF of one colour, all of whose frames are this large."""
    size = struct.pack("<HH", width, height)
    colours = bytes([200, 30, 30, 30, 30, 200, 0, 0, 0, 0, 0, 0])
    delay = b"\x21\xf9\x04\0\1\0\0\0"
    frame = delay + b"\x2c" + bytes(4) + size + b"\0" + _packed(width * height)
    return b"GIF89a" + size + b"\xf1\0\0" + colours + frame * frames + b";"


def replaced(raw: bytes, after: bytes, skipped: int, new: bytes) -> bytes:
    """Return bytes with others in their place, some way after the first ones like `after`."""
    at = raw.index(after) + len(after) + skipped
    return raw[:at] + new + raw[at + len(new) :]


def scans(size: int, times: int) -> bytes:
    """Return a progressive JPEG whose last scan comes again and again."""
    raw: bytes = pyvips.Image.black(size, size).write_to_buffer(".jpg", interlace=True)
    last = raw.rindex(b"\xff\xda")
    return raw[:last] + raw[last:-2] * times + raw[-2:]
