"""How deeply foreign JSON may be nested, judged by its bytes before it is parsed.

A parser's own limit is the interpreter's: it changes with the Python release and with how deep the
caller stands in the stack, so two processes could judge the same bytes differently (EXACTNESS 1).
"""

from array import array
from itertools import accumulate

NESTING_MAX = 64
"""Arrays and objects that may be open at once; the outermost counts as one."""

_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""Each bracket as a signed byte: how the number of open ones changes with it."""


_BEGINNING = 4 * 1024
"""Bytes that are looked at first: who sends what is too deep mostly sends nothing else."""


def is_nested_too_deeply(json: bytes) -> bool:
    """Return whether more than `NESTING_MAX` arrays and objects are open at once.

    For bytes that are no JSON the answer may be either; but where it is False, no parser meets
    more open ones than that before it finds the error. It takes time in proportion to the bytes,
    whatever they are: at most some 2 ms for 64 KiB.
    """
    if json.count(b"[") + json.count(b"{") <= NESTING_MAX:
        return False
    return _depth(json[:_BEGINNING]) > NESTING_MAX or _depth(json) > NESTING_MAX


def _depth(json: bytes) -> int:
    # Without escaped quotes, every second part between quotes is a string.
    outside = json.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
    steps = b"".join(outside).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(array("b", steps)), default=0)
