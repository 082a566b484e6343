"""Times and durations as Kubernetes writes them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import lru_cache

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]*\.?[0-9]*)([^0-9.]*)")


def now(later: float = 0.0) -> str:
    return _printed(int(time.time() + later))


@lru_cache(maxsize=64)
def _printed(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_duration(text: str) -> float:
    """Seconds of a Go duration; the ValueError's message is Go's."""
    rest, sign = text, 1.0
    if rest[:1] in ("+", "-"):
        sign, rest = (-1.0 if rest[0] == "-" else 1.0), rest[1:]
    if rest == "0":
        return 0.0
    total = 0.0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    while rest:
        found = _PART.match(rest)
        if found is None or not found[1].strip("."):
            raise ValueError(f'time: invalid duration "{text}"')
        if not found[2]:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if found[2] not in _UNITS:
            raise ValueError(f'time: unknown unit "{found[2]}" in duration "{text}"')
        total += float(found[1]) * _UNITS[found[2]]
        rest = rest[found.end() :]
    return sign * total
