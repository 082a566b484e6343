"""An existing clone of a repository as reference: its objects are read instead of fetched.

Git is never run in it, since git would obey its configuration. Its objects are data, and its refs are read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from job.promote.cache import is_own_folder

_ID = re.compile(r"[0-9a-f]{40}")
# The tips that the remote gets to know, so that it leaves out what they contain.
MAX_TIPS = 64
_MAX_BYTES = 16 * 1024 * 1024


def find_reference(clones: Path, name: str) -> Path | None:
    """The git folder of a user's clone `NAME` or `NAME.git`, with a work tree or bare; None without one."""
    for folder in (clones / name / ".git", clones / f"{name}.git", clones / name):
        if is_own_folder(folder) and is_own_folder(folder / "objects") and (folder / "HEAD").is_file():
            return folder
    return None


def tips_of(reference: Path) -> tuple[str, ...]:
    """Commits that the reference has, its remote's branches first, at most `MAX_TIPS`."""
    tips = dict.fromkeys(commit for _, commit in sorted(_refs(reference), key=lambda ref: "/remotes/" not in ref[0]))
    return tuple(tips)[:MAX_TIPS]


def _refs(folder: Path) -> Iterator[tuple[str, str]]:
    """The names and commits of branches."""
    for kind in ("remotes", "heads"):
        for file in (folder / "refs" / kind).rglob("*"):
            if file.is_file() and not file.is_symlink() and _ID.fullmatch(text := _read(file, 64).strip()):
                yield f"/{kind}/{file.name}", text
    yield from parse_packed_refs(_read(folder / "packed-refs", _MAX_BYTES))


def parse_packed_refs(text: str) -> Iterator[tuple[str, str]]:
    """The names and commits of the branches in a `packed-refs` file."""
    for line in text.splitlines():
        commit, _, name = line.partition(" ")
        if _ID.fullmatch(commit) and name.startswith(("refs/remotes/", "refs/heads/")):
            yield name, commit


def _read(file: Path, limit: int) -> str:
    """The beginning of a file; empty where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""
