"""Frames as a client sends them, right or wrong, and those of a server taken apart."""

import struct
from dataclasses import dataclass

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

MASK = b"\x37\xfa\x21\x3d"


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bool = True
) -> bytes:
    """Return one frame; `reserved` are its three reserved bits."""
    head = bytes([fin << 7 | reserved << 4 | opcode])
    size, masked = len(payload), mask << 7
    if size < 126:
        head += bytes([masked | size])
    elif size < 65536:
        head += bytes([masked | 126]) + struct.pack("!H", size)
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", size)
    if not mask:
        return head + payload
    repeated = (MASK * (size // 4 + 1))[:size]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + MASK + number.to_bytes(size, "big")


def text(payload: bytes | str, *, fin: bool = True) -> bytes:
    return frame(TEXT, payload.encode() if isinstance(payload, str) else payload, fin=fin)


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


@dataclass(frozen=True)
class Got:
    """One frame of a server."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Return the close code."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big")


def parse(data: bytes) -> tuple[list[Got], bytes]:
    """Return whole frames, each of which must be final and unmasked, and the rest."""
    found: list[Got] = []
    while len(data) >= 2:
        assert data[0] & 0xF0 == 0x80, data[:2]
        assert not data[1] & 0x80, "servers do not mask"
        size, head = data[1], 2
        if size == 126:
            size, head = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(data[2:10], "big"), 10
        if len(data) < head + size:
            break
        found.append(Got(data[0] & 0x0F, data[head : head + size]))
        data = data[head + size :]
    return found, data
