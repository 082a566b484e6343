"""The order in which people expect names."""

from __future__ import annotations

import re

_NUMBER = r"(\d+)"


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts as people count: `app-2` before `app-10`."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(_NUMBER, text) if part)
