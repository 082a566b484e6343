"""The values in the JSON of a journal, checked: everyone who may write the ConfigMap may have written them.

Each function raises ValueError or TypeError for a value that is not what it should be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sized
from typing import TypeVar

S = TypeVar("S", bound=Sized)

# Characters of a text: a stream and a tag have at most 382, a label of an image 500.
LONGEST_TEXT = 1_000
_DECIMAL = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
# The year 5138: a greater number is not a time.
_LAST_SECOND = 1e11


def key_in(text: str) -> tuple[str, str]:
    """Stream and tag of `STREAM:TAG`."""
    stream, _, tag = text_in(text).partition(":")
    return stream, tag


def bounded(values: S, most: int) -> S:
    """The list or object, if it has at most so many items."""
    if len(values) > most:
        raise ValueError(f"more than {most} items in a list")
    return values


def text_in(value: object) -> str:
    """A text that is not too long."""
    if not isinstance(value, str):
        raise TypeError(f"a text is a {type(value).__name__}")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"a text is longer than {LONGEST_TEXT} characters")
    return value


def text_or_none(value: object) -> str | None:
    """Such a text, or None."""
    return None if value is None else text_in(value)


def decimal(text: str) -> float | None:
    """The time in a key of `succeeded`, where the empty text means that there is none."""
    if not text:
        return None
    if not re.fullmatch(_DECIMAL, text):
        raise ValueError("a time is not a number")
    return seconds(float(text))


def whole(value: object, most: int) -> int:
    """A whole number from 0 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"not a whole number from 0 to {most}")
    return value


def seconds(value: object) -> float:
    """A time, in seconds since 1970."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError("a time is not a number")
    if not 0 <= value <= _LAST_SECOND:
        raise ValueError("a time is not within the years 1970 to 5138")
    return float(value)
