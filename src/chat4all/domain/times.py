"""Formatting of times, one way everywhere: RFC 3339 in UTC, with milliseconds and `Z`."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def format_utc(when: datetime) -> str:
    """Format a time that has a zone."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def now_utc() -> str:
    """Return the present time, formatted."""
    return format_utc(datetime.now(UTC))


def format_milliseconds(milliseconds: int) -> str:
    """Format milliseconds since 1970; `OverflowError` beyond the year 9999."""
    when = _EPOCH + milliseconds * _MILLISECOND
    return when.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_milliseconds(text: str) -> int:
    """Return a formatted time in milliseconds since 1970; `ValueError` for any other text."""
    when = datetime.fromisoformat(text)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (when - _EPOCH) // _MILLISECOND


def format_seconds(seconds: int) -> str:
    """Format seconds since 1970; `OverflowError` beyond the year 9999."""
    return format_milliseconds(seconds * 1000)
