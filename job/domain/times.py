"""Times as the API writes them: RFC 3339, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time in UTC; None for any other text, and for Go's zero time."""
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


# Docker's first release. What an image says to be older was set by a tool that builds reproducibly: the beginning of an
# epoch, such as 1970-01-01 (Jib, ko, Bazel) or 1980-01-01T00:00:01Z (Cloud Native Buildpacks).
_FIRST_IMAGES = datetime(2013, 3, 1, tzinfo=UTC)


def build_time(text: object) -> datetime | None:
    """When an image was built, by its own RFC 3339 time; None where that is not a time of a build."""
    time = parse_time(text)
    return time if time and time >= _FIRST_IMAGES else None


def from_unix(seconds: float) -> datetime | None:
    """A time by its seconds since 1970; None for what is beyond all years."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def iso(time: datetime | None) -> str | None:
    """A time as RFC 3339 in UTC, to the second."""
    return None if time is None else time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
