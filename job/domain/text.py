"""Text that is shown: one line, no control characters, no logins, of bounded length."""

from __future__ import annotations

import re
from enum import StrEnum

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_URL_LOGIN = re.compile(r"(?<=://)[^/\s\"']+@")
_CUT_LOGIN = re.compile(r"(?<=://)[^/\s\"']+\Z")
_SECRET = re.compile(
    r"(?i)\b(bearer\s+|basic\s+|(?:access_|refresh_|id_)?token=|password=|secret=|signature=|sig=|x-amz-[a-z-]+=)"
    r"[^\s&\"'<>]+"
)


def writable(text: str) -> str:
    """The text without half characters of UTF-16, which JSON can hold and nothing else can."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def clean(message: str, limit: int = 500) -> str:
    """A message fit to be shown: one line, no control characters, no logins or tokens, of bounded length."""
    # Bounded before the expressions see it, since a message may be a megabyte long.
    text = _CONTROL.sub(" ", writable(message[: limit * 4])).strip()
    if len(message) > limit * 4:
        # The cut may have parted a login from the @ that would give it away.
        text = _CUT_LOGIN.sub("***", text)
    text = _SECRET.sub(r"\1***", _URL_LOGIN.sub("***@", text))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def humanize(result: StrEnum) -> str:
    """A result in words."""
    return str(result).replace("_", " ")
