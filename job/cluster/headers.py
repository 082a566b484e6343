"""Header values of HTTP answers that carry times (RFC 9110). Pure."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

_SECONDS = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
# The longest HTTP date; anything longer is not one.
_LONGEST_DATE = 64


def unix_time(date: str | None) -> float | None:
    """An HTTP date as seconds since 1970; None for anything else."""
    if date is None or len(date) > _LONGEST_DATE or not date.isascii():
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def retry_after(value: object, now: float) -> float | None:
    """How many seconds a server asked to wait; None where it did not say so in a form of RFC 9110.

    Args:
        value: the header Retry-After (seconds or a date), or `retryAfterSeconds` of a Status.
        now: the current time as seconds since 1970.
    """
    text = str(value).strip()
    if re.fullmatch(_SECONDS, text):
        return float(text)
    date = unix_time(text)
    return None if date is None else max(0.0, date - now)
