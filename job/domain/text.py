"""Text that is shown: one line, no control or invisible characters, no secrets, of bounded length."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

from job.domain.secrets import MASK, SECRETS

# Printable by their Unicode category, yet invisible: fillers, joiners, variation selectors, blank Braille.
_INVISIBLE = r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
# Two follow a letter in real orthographies (Vietnamese, Hebrew, Thai); more are piled up to cover the lines around.
_MOST_MARKS = 2
_SPACES = frozenset({"Cc", "Zl", "Zp", "Zs"})

# What follows recognizes unregistered secrets by the text around them: other programs' logins, and
# tokens that a server repeats. Each expression starts at a word's beginning and takes linear time.
_KEY = (
    r"(?:[\w.-]*(?:token|passw(?:or)?d|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key|signature)"
    r"|pwd|sig|x-amz-[a-z-]+)"
)
# A setting's name in a message of ours, such as `PUSHGATEWAY_PASSWORD: set without ...`.
_SETTING = r"(?-i:(?:[A-Z]+_)+[A-Z]+:\s|TOKEN:\s)"
Replacements = tuple[tuple[str, str], ...]

# `re` compiles an expression where it is first used, and keeps it. Most runs use none of these.
_LOGINS: Replacements = (
    # An unencoded password with a slash, a quote or a space; a port is not one, and a digest is not a host.
    (
        r"(?<=://)[^\s/:@\"']*:(?!\s|[0-9]{1,5}(?:[/?#\s\"',;)]|\Z))[^@]{0,200}?@(?:[^\s@\"']*@)*(?!sha[0-9]+:)",
        f"{MASK}@",
    ),
    (r"(?<=://)[^/\s\"']+@", f"{MASK}@"),
    # USER:PASSWORD@HOST without a scheme. In a pull spec a digest follows instead of a host.
    (r"(?<![\w/:@.%+-])[\w.%+-]+:(?!//)[^\s/@\"':,;]+@(?!sha[0-9]+:)(?=[\w\[])", f"{MASK}@"),
)
_NAMED: Replacements = (
    (r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\\*[\"']?\s*[:=]\s*\\*[\"']?)[^\"',\\]+", rf"\1\2{MASK}"),
    (r"(?i)\b(bearer\s+|basic\s+(?!auth|realm\b))[^\s&\"'<>,\\]+", rf"\1{MASK}"),
    (rf"(?i)(?<![\w.-])(?!{_SETTING})({_KEY}\\*[\"']?\s*[:=]\s*)\"(?:[^\"\\]|\\.)*(?:\"|\Z)", rf'\1"{MASK}"'),
    (rf"(?i)(?<![\w.-])(?!{_SETTING})({_KEY}\\*[\"']?\s*[:=]\s*)'(?:[^'\\]|\\.)*(?:'|\Z)", rf"\1'{MASK}'"),
    # JSON within a JSON string.
    (rf"(?i)(?<![\w.-])({_KEY}\\\"\s*:\s*\\\").*?(\\\"|\Z)", rf"\1{MASK}\2"),
    (rf"(?i)(?<![\w.-])(?!{_SETTING})({_KEY}\\*[\"']?\s*[:=]\s*\\*[\"']?)[^\s&\"'<>,;\\]+", rf"\1{MASK}"),
    (rf"(?i)(?<!\S)(--?{_KEY}\s+)[^\s\"'-][^\s\"']*", rf"\1{MASK}"),
)
# Tokens that are known by their form: of OpenShift, JSON Web Tokens, of forges.
_FORMS: Replacements = (
    (r"\bsha256~[\w-]{20,}", MASK),
    (r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*", MASK),
    (r"\b(?:gh[opsu]_|github_pat_|glpat-)\w{10,}", MASK),
)
# Without one of these words nothing above can match: most messages are spared the expressions.
_NAMED_WORDS = ("token", "pass", "secret", "key", "sig", "pwd", "amz", "authorization", "cookie", "bearer", "basic")
_FORM_WORDS = ("sha256~", "eyJ", "gho_", "ghp_", "ghs_", "ghu_", "github_pat_", "glpat-")
_CUT_LOGIN = r"(?<=://)[^/\s\"']+\Z"


def writable(text: str) -> str:
    """The text without lone surrogates, which JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def clean(message: str, limit: int = 500) -> str:
    """A message fit to be shown.

    Args:
        message: any text, also from a registry, a server or a person.
        limit: the most characters of the result.

    Returns:
        One line without control and invisible characters, with `***` in place of secrets. A long one loses its middle,
        marked by `…`, since the cause comes last; one of more than four times the limit loses its end.
    """
    message = SECRETS.redact(message)
    # Bounded before the expressions see it, since a message may be a megabyte long.
    text = _visible(message[: limit * 4]).strip()
    if len(message) > limit * 4:
        # The cut may have separated a login from the @ that shows it to be one.
        text = re.sub(_CUT_LOGIN, MASK, text)
        return _cut(_without_logins(text), limit)
    text = _without_logins(text)
    if len(text) <= limit or limit < _SHORTEST_WITH_TWO_ENDS:
        return _cut(text, limit)
    shown = (limit - len(_MIDDLE)) // 2
    shortened = text[: limit - len(_MIDDLE) - shown].rstrip() + _MIDDLE + text[-shown:].lstrip()
    # Two ends side by side must not look like a login.
    return shortened if _without_logins(shortened) == shortened else _cut(text, limit)


_MIDDLE = " … "
_SHORTEST_WITH_TWO_ENDS = 40


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _without_logins(text: str) -> str:
    """The text without what looks like a login or a token."""
    used: list[Replacements] = []
    if "@" in text:
        used.append(_LOGINS)
    lowered = text.lower()
    if any(word in lowered for word in _NAMED_WORDS):
        used.append(_NAMED)
    if any(word in text for word in _FORM_WORDS):
        used.append(_FORMS)
    for replacements in used:
        for expression, replacement in replacements:
            text = re.sub(expression, replacement, text)
    return text


def _visible(text: str) -> str:
    """The text with a space for each control character and each kind of space, and without invisible characters."""
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for character in re.sub(_INVISIBLE, "", text):
        category = unicodedata.category(character)
        if category in _SPACES:
            # Several control characters in a row are one space.
            if character == " " or category == "Zs" or not kept or kept[-1] != " ":
                kept.append(" ")
            marks = 0
        elif category in ("Mn", "Me"):
            marks += 1
            if marks <= _MOST_MARKS:
                kept.append(character)
        elif character.isprintable():
            kept.append(character)
            marks = 0
    return "".join(kept)


def humanize(result: StrEnum) -> str:
    """A result in words: `rolled back` for `rolled_back`."""
    return str(result).replace("_", " ")
