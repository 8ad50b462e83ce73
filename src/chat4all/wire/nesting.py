"""How deeply foreign JSON may be nested, judged by its bytes before it is parsed.

A parser's own limit is the interpreter's: it changes with the Python release and with how deep the
caller stands in the stack, so two processes could judge the same bytes differently (EXACTNESS 1).
"""

import re

NESTING_MAX = 64
"""Arrays and objects that may be open at once; the outermost counts as one."""

# A string that does not end is taken to the end: the search stays linear.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


def is_nested_too_deeply(json: bytes) -> bool:
    """Return whether more than `NESTING_MAX` arrays and objects are open at once.

    For bytes that are no JSON the answer may be either; but where it is False, no parser meets
    more open ones than that before it finds the error.
    """
    if json.count(b"[") + json.count(b"{") <= NESTING_MAX:
        return False
    brackets = _STRING.sub(b"", json).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(NESTING_MAX):  # each round removes the innermost level
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
