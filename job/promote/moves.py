"""Planned moves of stable branches, and their results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from job.domain.text import clean
from job.promote.commits import Commit, authors, pull_requests_of
from job.promote.config import Repository

MAX_COMMITS_SHOWN = 50


class Result(StrEnum):
    """The result of one repository. `behind`: not tried, since a repository in its `after` failed."""

    MOVED = "moved"
    WOULD_MOVE = "would_move"
    UP_TO_DATE = "up_to_date"
    LEFT = "left"
    FAILED = "failed"
    UNKNOWN = "unknown"
    BEHIND = "behind"
    STOPPED = "stopped"


# Stable is at the requested commit.
DONE = frozenset({Result.MOVED, Result.UP_TO_DATE})
# The repositories that come after it are not moved.
BAD = frozenset({Result.FAILED, Result.UNKNOWN, Result.BEHIND, Result.STOPPED})


@dataclass(frozen=True, slots=True)
class Move:
    """A planned move of a stable branch.

    Attributes:
        repository: the branch's repository.
        old: the current commit.
        new: the target.
        tip: the tip of the rolling branch.
        commits: what the branch gets, newest first, at most `MAX_COMMITS_SHOWN`.
        count: the number of all commits it gets.
        lost: what it loses; empty for a fast-forward.
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
    """The result of one repository; `old` and `new` are None where they are unknown."""

    name: str
    result: Result
    old: str | None = None
    new: str | None = None
    count: int = 0
    message: str | None = None


def blocked_by(repository: Repository, results: Mapping[str, Result]) -> str | None:
    """Why a repository must not be moved: a repository in its `after` was not done."""
    bad = [name for name in repository.after if results.get(name) in BAD]
    return f"{repository.name} comes after {', '.join(bad)}, which was not done" if bad else None


def describe_move(move: Move) -> list[str]:
    """A move as lines for a person."""
    repository = move.repository
    rolling = f"{repository.rolling} " if move.new == move.tip else ""
    lines = [f"{repository.name}: {repository.stable} {move.old[:9]} -> {rolling}{move.new[:9]}"]
    lines[0] += f", {move.count} {'commit' if move.count == 1 else 'commits'}"
    for commit in move.commits:
        lines.append("  " + clean(f"{commit.short} {commit.subject} ({commit.author})", 98))
    if move.count > len(move.commits):
        lines.append(f"  and {move.count - len(move.commits)} more")
    if move.commits:
        lines.append("  " + clean(f"authors: {', '.join(authors(move.commits)) or '-'}"))
        if requests := pull_requests_of(move.commits):
            lines.append(f"  pull requests: {', '.join(requests)}")
    for commit in move.lost:
        lines.append("  " + clean(f"! {repository.stable} loses {commit.short} {commit.subject} ({commit.author})", 98))
    return lines


def exit_status(moved: Collection[Moved]) -> int:
    """The exit status for these results."""
    results = {each.result for each in moved}
    if Result.STOPPED in results:
        return 6
    return 1 if results & BAD else 0


def result_rows(moved: Sequence[Moved]) -> list[tuple[str, ...]]:
    """The results as the rows of a table, with a heading."""
    rows: list[tuple[str, ...]] = [("REPOSITORY", "STABLE", "FROM", "TO", "COMMITS")]
    for each in moved:
        count = str(each.count) if each.count else "-"
        result = str(each.result).replace("_", " ") if each.result is not Result.BEHIND else "not tried"
        rows.append((each.name, result, (each.old or "-")[:9], (each.new or "-")[:9], count))
    return rows


def as_document(moved: Sequence[Moved]) -> list[dict[str, Any]]:
    """The results as JSON."""
    return [
        {
            "repository": each.name,
            "result": str(each.result),
            "from": each.old,
            "to": each.new,
            "commits": each.count,
            "message": each.message,
        }
        for each in moved
    ]


def parse_targets(texts: Sequence[str], names: Sequence[str], errors: list[str]) -> dict[str, str]:
    """The target of each repository, by the values of `--to`; mistakes are added to `errors`."""
    targets: dict[str, str] = {}
    for text in texts:
        name, equals, commit = text.partition("=")
        if not equals or name not in names:
            if len(names) != 1:
                fix = f"name one repository, or write --to REPO={text}"
                errors.append(f"--to: {clean(text)!r} is for one repository, but {len(names)} are selected; {fix}")
                continue
            name, commit = names[0], text
        if not commit:
            errors.append(f"--to: {name} has no commit")
        elif name in targets:
            errors.append(f"--to: {name} is given twice")
        targets[name] = commit
    return targets


def write_table(rows: Sequence[Sequence[str]], write: Callable[[str], object], width: int = 100) -> None:
    """Write rows as a table; the first column is shortened where the table is too wide."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    others = sum(widths[1:]) + 2 * len(widths[1:])
    widths[0] = max(10, min(widths[0], width - others))
    for row in rows:
        first = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
        cells = [first.ljust(widths[0]), *(cell.ljust(size) for cell, size in zip(row[1:], widths[1:], strict=True))]
        write("  ".join(cells).rstrip() + "\n")
