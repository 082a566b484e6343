"""What is to become of stable branches, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from job.domain.text import clean
from job.promote.commits import Commit, authors, pull_requests_of
from job.promote.config import Repository

MOST_SHOWN = 50


class Fate(StrEnum):
    """What became of a stable branch. `behind`: it was not tried, since what it comes after was not done."""

    MOVED = "moved"
    WOULD_MOVE = "would_move"
    UP_TO_DATE = "up_to_date"
    LEFT = "left"
    FAILED = "failed"
    UNKNOWN = "unknown"
    BEHIND = "behind"
    STOPPED = "stopped"


# It is where it was asked to be.
DONE = frozenset({Fate.MOVED, Fate.UP_TO_DATE})
# What comes after it is not moved either.
BAD = frozenset({Fate.FAILED, Fate.UNKNOWN, Fate.BEHIND, Fate.STOPPED})


@dataclass(frozen=True, slots=True)
class Move:
    """A stable branch, and where it is to go.

    Attributes:
        repository: whose branch.
        old: where it is.
        new: where it is to go.
        tip: where the rolling branch is.
        commits: what it gets, newest first, at most `MOST_SHOWN`.
        count: how many that are in all.
        lost: what it loses; none in a fast-forward.
    """

    repository: Repository
    old: str
    new: str
    tip: str
    commits: tuple[Commit, ...]
    count: int
    lost: tuple[Commit, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of one; `old` and `new` are None where they are not known."""

    name: str
    fate: Fate
    old: str | None = None
    new: str | None = None
    count: int = 0
    message: str | None = None


def obstacle(repository: Repository, fates: Mapping[str, Fate]) -> str | None:
    """Why a repository must wait: one that it comes after was not done."""
    bad = [name for name in repository.after if fates.get(name) in BAD]
    return f"{repository.name} comes after {', '.join(bad)}, which could not be done" if bad else None


def described(move: Move, log_command: str) -> list[str]:
    """What moves, as lines for a person."""
    repository = move.repository
    rolling = f"{repository.rolling} " if move.new == move.tip else ""
    lines = [f"{repository.name}: {repository.stable} {move.old[:9]} -> {rolling}{move.new[:9]}"]
    lines[0] += f", {move.count} {'commit' if move.count == 1 else 'commits'}"
    for commit in move.commits:
        lines.append("  " + clean(f"{commit.short} {commit.subject} ({commit.author})", 98))
    if move.count > len(move.commits):
        lines.append(f"  and {move.count - len(move.commits)} more: {log_command}")
    if move.commits:
        lines.append("  " + clean(f"authors: {', '.join(authors(move.commits)) or '-'}"))
        if requests := pull_requests_of(move.commits):
            lines.append(f"  pull requests: {', '.join(requests)}")
    for commit in move.lost:
        lines.append("  " + clean(f"! {repository.stable} loses {commit.short} {commit.subject} ({commit.author})", 98))
    return lines


def status_of(moved: Collection[Moved]) -> int:
    """The exit status of what became of all of them."""
    fates = {each.fate for each in moved}
    if Fate.STOPPED in fates:
        return 6
    return 1 if fates & BAD else 0


def table(moved: Sequence[Moved]) -> list[tuple[str, ...]]:
    """What became of them, as rows with a heading."""
    rows: list[tuple[str, ...]] = [("REPOSITORY", "STABLE", "FROM", "TO", "COMMITS")]
    for each in moved:
        count = str(each.count) if each.count else "-"
        told = str(each.fate).replace("_", " ") if each.fate is not Fate.BEHIND else "not tried"
        rows.append((each.name, told, (each.old or "-")[:9], (each.new or "-")[:9], count))
    return rows


def as_document(moved: Sequence[Moved]) -> list[dict[str, Any]]:
    """The same as JSON."""
    return [
        {
            "repository": each.name,
            "result": str(each.fate),
            "from": each.old,
            "to": each.new,
            "commits": each.count,
            "message": each.message,
        }
        for each in moved
    ]


def aims(texts: Sequence[str], names: Sequence[str], errors: list[str]) -> dict[str, str]:
    """Where each repository is to go, from the values of `--to`; what is wrong goes to `errors`."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, commit = text.partition("=")
        if not equals or name not in names:
            if len(names) != 1:
                told = f"name one repository, or say which: --to REPO={text}"
                errors.append(f"--to: {clean(text)!r} is for one repository, and {len(names)} are asked for; {told}")
                continue
            name, commit = names[0], text
        if not commit:
            errors.append(f"--to: {name} is to go to no commit")
        elif name in found:
            errors.append(f"--to: {name} is named twice")
        found[name] = commit
    return found


def columns(rows: Sequence[Sequence[str]], write: Callable[[str], object], width: int = 100) -> None:
    """Write rows as a table; the first column gives way where it gets too wide."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    rest = sum(widths[1:]) + 2 * len(widths[1:])
    widths[0] = max(10, min(widths[0], width - rest))
    for row in rows:
        first = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
        cells = [first.ljust(widths[0]), *(cell.ljust(size) for cell, size in zip(row[1:], widths[1:], strict=True))]
        write("  ".join(cells).rstrip() + "\n")
