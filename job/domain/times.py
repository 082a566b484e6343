"""Times as the API writes them: RFC 3339, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time in UTC; None for what is none, and for Go's zero time."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    if time.tzinfo is None or time.year <= 1:
        return None
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return None


def from_unix(seconds: float) -> datetime | None:
    """A time by its seconds since 1970; None for what is beyond all years."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def iso(time: datetime | None) -> str | None:
    """A time as RFC 3339 in UTC, to the second."""
    return None if time is None else time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
