"""The order in which the tags of a whole repository are imported. Pure.

Source of behaviour: openshift/library-go pkg/image/imageutil (PrioritizeTags).
"""

from __future__ import annotations

import re
from functools import cmp_to_key
from typing import NamedTuple

_NUMBER = r"(0|[1-9]\d*)"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_MINOR = re.compile(r"\d+\.\d+")
_MINOR_WITH_PATCH = re.compile(r"(\d+\.\d+)-\w+")


class _Version(NamedTuple):
    numbers: tuple[int, int, int]
    before_release: tuple[str, ...]


class _Ranked(NamedTuple):
    rank: int
    tag: str
    version: _Version | None = None
    prefix: str = ""


def prioritize(tags: list[str]) -> list[str]:
    """`latest`, then minor versions, then full versions, newest first, then the rest by name."""
    return [each.tag for each in sorted(map(_rank, tags), key=cmp_to_key(_compare))]


def _rank(tag: str) -> _Ranked:
    if tag == "latest":
        return _Ranked(0, tag)
    prefix = "v" if tag.startswith("v") else ""
    short = tag.removeprefix("v")
    version = _parse(short)
    if version:
        return _Ranked(2, tag, version, prefix)
    if _MINOR.fullmatch(short):
        version = _parse(f"{short}.0")
    else:
        found = _MINOR_WITH_PATCH.fullmatch(short)
        version = _parse(short.replace(found[1], f"{found[1]}.0", 1)) if found else None
    return _Ranked(1, tag, version, prefix) if version else _Ranked(3, tag)


def _parse(text: str) -> _Version | None:
    found = _SEMVER.fullmatch(text)
    if found is None:
        return None
    parts = tuple(found[4].split(".")) if found[4] else ()
    if any(not part or (part.isdigit() and len(part) > 1 and part[0] == "0") for part in parts):
        return None
    return _Version((int(found[1]), int(found[2]), int(found[3])), parts)


def _compare(one: _Ranked, other: _Ranked) -> int:
    if one.rank != other.rank:
        return one.rank - other.rank
    if one.version is None or other.version is None:
        return (one.tag > other.tag) - (one.tag < other.tag)
    newer = _compare_versions(other.version, one.version)
    return newer or (one.prefix > other.prefix) - (one.prefix < other.prefix)


def _compare_versions(one: _Version, other: _Version) -> int:
    if one.numbers != other.numbers:
        return 1 if one.numbers > other.numbers else -1
    if not one.before_release or not other.before_release:
        return bool(other.before_release) - bool(one.before_release)
    for mine, theirs in zip(one.before_release, other.before_release, strict=False):
        if mine == theirs:
            continue
        if mine.isdigit() and theirs.isdigit():
            return 1 if int(mine) > int(theirs) else -1
        if mine.isdigit() != theirs.isdigit():
            return -1 if mine.isdigit() else 1
        return 1 if mine > theirs else -1
    return len(one.before_release) - len(other.before_release)
