"""Dead letters as operators read them: fields for JSON, and a table."""

import base64
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from chat4all.domain.ids import LogPosition
from chat4all.domain.records import DeadLetter
from chat4all.domain.times import format_milliseconds

FormatPosition: TypeAlias = Callable[[LogPosition], int | str]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def summary(letter: DeadLetter, format_position: FormatPosition) -> dict[str, Any]:
    """Return a letter's fields without its value."""
    new = letter.replayed_by
    return {
        "position": format_position(letter.log_position),
        "put_aside_at": _time(letter.put_aside_ms),
        "conversation": " ".join(_printable(letter.key)[1].split()),
        "cause": letter.cause,
        "replayed_as": None if new is None else format_position(new),
        "replayed_at": _time(letter.replayed_ms),
    }


def details(letter: DeadLetter, format_position: FormatPosition) -> dict[str, Any]:
    """Return all of a letter's fields."""
    encoding, text = _printable(letter.value)
    return {
        **summary(letter, format_position),
        "bytes": len(letter.value),
        "value_encoding": encoding,
        "value": text,
        "headers": [_header(name, value) for name, value in letter.headers],
    }


def _header(name: str, value: bytes | None) -> dict[str, str | None]:
    encoding, text = (None, None) if value is None else _printable(value)
    return {"name": name, "value_encoding": encoding, "value": text}


def as_text(field: object) -> str:
    """Return the value of one of the `details` as it is printed."""
    if isinstance(field, list):
        names = [_printable(header["name"].encode())[1] for header in field]
        values = [header["value"] for header in field]
        field = "; ".join(f"{n}: {v}" for n, v in zip(names, values, strict=True)) or None
    return "-" if field is None else str(field)


def table(summaries: Sequence[dict[str, Any]]) -> str:
    """Return the summaries as lines of aligned columns, under a header."""
    head = ("POSITION", "PUT ASIDE", "CONVERSATION", "REPLAYED", "CAUSE")
    rows = [head]
    for letter in summaries:
        new = letter["replayed_as"]
        rows.append(
            (
                str(letter["position"]),
                letter["put_aside_at"] or "-",
                letter["conversation"],
                "no" if new is None else f"as {new}",
                letter["cause"],
            )
        )
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    lines = ("  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _printable(raw: bytes) -> tuple[str, str]:
    """Return an encoding and the text in it: base64 if it is not printable."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    if _CONTROL.search(text):
        return "base64", base64.b64encode(raw).decode()
    return "utf-8", text


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else format_milliseconds(milliseconds)
