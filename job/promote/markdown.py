"""Markdown that shows a text literally, wherever it is posted: no tag, link, mention or reference of its own."""

from __future__ import annotations

import re

from job.domain.text import clean

# CommonMark shows punctuation after a backslash literally; these have a meaning within a line, also `$` and `^` of
# GitHub's formulas and footnotes.
_SPECIAL = re.compile(r"([\\`*_~\[\]<>|&$^=])")
_ESCAPED = r"\\\1"
# A heading, a list, a quotation or a rule at the start of a line.
_LEADING = re.compile(r"\A([#+>:-])")
_LEADING_NUMBER = re.compile(r"\A([0-9]{1,9})([.)])")
# Sites make links of these in any text, even after a backslash. A zero-width space, written as a character reference
# that stays visible in the source, prevents it and is shown nowhere.
_GAP = "&#8203;"
_AUTOLINKED = re.compile(r"([@#!%]|://|\bGH|\bwww)(?=[\w.-])", re.IGNORECASE)


def escape(text: str, limit: int = 500, *, starts_line: bool = True) -> str:
    """A text of at most `limit` characters in Markdown, on one line."""
    escaped = _SPECIAL.sub(_ESCAPED, clean(text, limit))
    escaped = _AUTOLINKED.sub(rf"\1{_GAP}", escaped)
    if not starts_line:
        return escaped
    return _LEADING_NUMBER.sub(r"\1\\\2", _LEADING.sub(r"\\\1", escaped))


def link(text: str, url: str) -> str:
    """A link; its address is one of ours. Sites make no other link of what is within one."""
    return f"[{_SPECIAL.sub(_ESCAPED, clean(text))}]({url})"
