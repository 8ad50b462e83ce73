"""What msgspec says of what it cannot decode, without the values."""

import re

_VALUE = re.compile(r"(Invalid enum value) .*?( - at `\$[^`]*`)?\Z", re.DOTALL)


def without_value(text: str) -> str:
    """Return what a `msgspec.ValidationError` says, without a value that is not in a list."""
    return _VALUE.sub(r"\1\2", text)
