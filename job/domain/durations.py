"""Durations as people write them, such as `90s`, `1h30m` or `14d`."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
LONGEST = 100
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """Seconds of a duration such as `90s`, `1h30m` or `14d`.

    Raises:
        ValueError: it is not a duration, or not above zero.
    """
    seconds, end = 0.0, 0
    # A search for what is not there takes time that grows with the square of the length.
    for match in re.finditer(_DURATION, text[:LONGEST]):
        if match.start() != end:
            break
        seconds, end = seconds + float(match[1]) * _UNITS[match[2]], match.end()
    if end != len(text) or not text or not 0 < seconds <= timedelta(days=3650).total_seconds():
        raise ValueError(f"{text[:LONGEST]!r} is not a duration such as 90s, 30m or 1h30m")
    return seconds


def as_setting(seconds: float) -> str:
    """A length of time as settings have it, without loss: `90s`, `1d4h`."""
    short = describe(seconds).replace(" ", "")
    return short if seconds >= 1 and duration(short) == seconds else f"{seconds:.15g}s"


def describe(seconds: float) -> str:
    """A length of time in its two largest units: `48s`, `9m 12s`, `3d 4h`."""
    remaining = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if remaining >= size or parts:
            parts.append(f"{remaining // size}{unit}")
            remaining %= size
    return " ".join(part for part in parts[:2] if not part.startswith("0")) or "0s"
