"""The order in which people expect names."""

from __future__ import annotations

import re

# Longer runs of digits are several numbers: no name needs them, and Python bounds the digits of an int.
_NUMBER = r"([0-9]{1,18})"


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts as people count: `app-2` before `app-10`."""
    return tuple(
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part)
        for part in re.split(_NUMBER, text)
        if part
    )
