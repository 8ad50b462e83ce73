"""Pictures to send."""

import os
import struct
import zlib


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    whole = kind + data
    return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))


def png(width: int, height: int) -> bytes:
    """Return a picture of noise, which no compression makes smaller."""
    rows = b"".join(b"\0" + os.urandom(3 * width) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
